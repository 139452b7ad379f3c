//! The `stead` program, asked of a node.

use std::process::{Command, Stdio};

use serde_json::Value;
use stead_tests::node::{Node, binary};

/// What it said, and its exit code.
#[derive(Debug)]
pub struct Said {
    pub exit: i32,
    pub out: String,
    pub error: String,
}

impl Said {
    /// The result, as JSON.
    pub fn json(&self) -> Value {
        assert_eq!(self.exit, 0, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs it, and waits for it without holding up this test's other work.
pub async fn stead(node: &Node, arguments: &[&str]) -> Said {
    let mut command = Command::new(binary());
    command
        .args(arguments)
        .args(["--admin", &format!("http://{}", node.admin)])
        .args(["--ingress", &format!("http://{}", node.ingress)])
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.expect("it isn't broken off").expect("it runs");
    Said {
        exit: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        error: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
