//! The binary. Everything is in the library beside it.

fn main() -> std::process::ExitCode {
    onfile_cli::run()
}
