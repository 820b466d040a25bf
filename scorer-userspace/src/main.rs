//! The `scorer` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    scorer::cli::main()
}
