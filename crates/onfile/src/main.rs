//! The binary. Everything is in the library beside it.

/// Rows are made by one thread and dropped by another: an allocator of one arena for each thread
/// keeps what they left, three times as much memory for an import.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    onfile_cli::run()
}
