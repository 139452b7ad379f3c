//! Compiles one component for another process. For tests of this crate: a node
//! starts its own program with a hidden verb that does the same.

use std::process::ExitCode;

fn main() -> ExitCode {
    stead_sandbox::compile_worker_main(std::io::stdin().lock(), std::io::stdout().lock())
}
