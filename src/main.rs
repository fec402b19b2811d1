//! Entry point of the `evergrant` binary: runs the command given on the command line.

fn main() -> std::process::ExitCode {
    evergrant::server::cli::main()
}
