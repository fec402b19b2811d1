//! Child processes for the benchmarks, and their memory and CPU use from `/proc`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use clap::Args;

use crate::BenchError;

/// The program that chooses the processor cores of others (util-linux).
const TASKSET: &str = "/usr/bin/taskset";

/// A child process, killed on drop.
pub struct Process {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Process {
    /// Starts the command with piped standard input and output.
    pub fn start(command: &mut Command) -> Result<Self, BenchError> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let said = BufReader::new(child.stdout.take().ok_or("the process has no standard output")?);
        Ok(Self { child, stdout: said })
    }

    /// Reads the next line of its output. Fails if the process has ended.
    pub fn read_line(&mut self) -> Result<String, BenchError> {
        let mut line = String::new();
        match self.stdout.read_line(&mut line)? {
            0 => Err("a benchmark process ended early".into()),
            _ => Ok(line),
        }
    }

    /// Writes a line to its input.
    pub fn write_line(&mut self, line: &str) -> Result<(), BenchError> {
        Ok(writeln!(self.child.stdin.as_mut().ok_or("the process has no standard input")?, "{line}")?)
    }

    /// Returns the resident memory in kilobytes.
    pub fn resident_memory_kb(&self) -> u64 {
        memory_figure_kb(&self.child.id().to_string(), "VmRSS")
    }

    /// Forgets the most memory that the process has used so far.
    pub fn reset_peak_memory(&self) -> Result<(), BenchError> {
        // See proc_pid_clear_refs(5).
        Ok(std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5")?)
    }

    /// Returns the most resident memory since `reset_peak_memory` in kilobytes.
    pub fn peak_memory_kb(&self) -> u64 {
        memory_figure_kb(&self.child.id().to_string(), "VmHWM")
    }

    /// Stops the process as a service manager does, and waits for its end.
    pub fn stop(mut self) -> Result<(), BenchError> {
        let pid = self.child.id();
        Command::new("sh").args(["-c", &format!("kill -TERM {pid}")]).status()?;
        match self.child.wait()?.success() {
            true => Ok(()),
            false => Err("the server did not stop well".into()),
        }
    }

    /// Returns the CPU time used so far in seconds; 0 if `/proc` has none.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        // After the name, which may contain anything: fields 14 and 15, in hundredths of a second on every Linux.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have exited already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Which `evergrant` is measured.
#[derive(Args)]
pub struct EvergrantBinary {
    /// The evergrant binary. [default: the one beside this program]
    #[arg(long, value_name = "PATH")]
    evergrant: Option<PathBuf>,
}

impl EvergrantBinary {
    /// Returns a command that runs it with an empty environment. Fails if there is no such file.
    pub fn command(&self) -> Result<Command, BenchError> {
        Ok(clean_command(&self.path()?))
    }

    /// Returns a command that runs it on these processor cores only.
    pub fn command_on(&self, cores: &str) -> Result<Command, BenchError> {
        let mut command = clean_command(Path::new(TASKSET));
        command.args(["-c", cores]).arg(self.path()?);
        Ok(command)
    }

    fn path(&self) -> Result<PathBuf, BenchError> {
        let path = match &self.evergrant {
            Some(path) => path.clone(),
            None => std::env::current_exe()?.with_file_name("evergrant"),
        };
        if !path.is_file() {
            return Err(format!("there is no evergrant at {}: build it, or pass --evergrant", path.display()).into());
        }
        Ok(path)
    }
}

/// Lets this program run on these processor cores only, in the notation of `taskset`.
pub fn pin_this_program(cores: &str) -> Result<(), BenchError> {
    let pid = std::process::id().to_string();
    let output = Command::new(TASKSET).args(["--all-tasks", "--cpu-list", "--pid", cores, &pid]).output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("can't use the cores {cores}: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// Returns a command that runs this program with an empty environment.
pub fn own_binary() -> Result<Command, BenchError> {
    Ok(clean_command(&std::env::current_exe()?))
}

fn clean_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    command
}

/// Returns a memory figure from `/proc/{process}/status` in kilobytes; 0 if there is none.
pub fn memory_figure_kb(process: &str, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
