//! Processes of ours that a measurement starts, and what the system says of them.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::Failed;

/// A process of ours, ended with the run.
pub struct Process {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Process {
    pub fn start(command: &mut Command) -> Result<Self, Failed> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let said = BufReader::new(child.stdout.take().ok_or("a process has no output")?);
        Ok(Self { child, said })
    }

    /// Its next line.
    pub fn line(&mut self) -> Result<String, Failed> {
        let mut line = String::new();
        match self.said.read_line(&mut line)? {
            0 => Err("a process of the measurement ended early".into()),
            _ => Ok(line),
        }
    }

    pub fn tell(&mut self, line: &str) -> Result<(), Failed> {
        Ok(writeln!(self.child.stdin.as_mut().ok_or("a process has no input")?, "{line}")?)
    }

    /// The memory that it has in use, in kilobytes.
    pub fn memory(&self) -> u64 {
        memory(&self.child.id().to_string(), "VmRSS")
    }

    /// The seconds for which it has had a processor; nought where the system doesn't say.
    pub fn busy(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        // Behind the name, which may hold anything: fields 14 and 15, in hundredths on every Linux.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// This binary, with nothing of the surroundings.
pub fn ours() -> Result<Command, Failed> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env_clear();
    Ok(command)
}

/// What the system says of a process' memory, in kilobytes; nought where it doesn't say.
pub fn memory(process: &str, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
