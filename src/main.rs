//! The one binary: the command line decides what it does.

fn main() -> std::process::ExitCode {
    evergrant::server::cli::main()
}
