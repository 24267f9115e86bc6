//! The binary: everything it does is in the library.

/// A bank file's line is a dozen small texts that come and go.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    tributary::cli::main()
}
