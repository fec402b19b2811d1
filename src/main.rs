//! Entry point of the `evergrant` binary: runs the command given on the command line.

/// Pages are thousands of small texts: with the C library's allocator they take a tenth more processor time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    evergrant::server::cli::main()
}
