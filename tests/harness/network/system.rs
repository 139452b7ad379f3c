//! The system's programs that make networks.

use std::{
    io::Write,
    process::{Command, Stdio},
};

/// Checks that networks can be made here.
///
/// # Panics
/// If they can't; the message says what is missing.
pub fn check() {
    const WAY_OUT: &str = "STEAD_NO_NAMESPACES=1 passes over the tests that cut networks";
    for (program, package) in [("ip", "iproute2"), ("nft", "nftables")] {
        let there = Command::new(program).arg("-V").output().is_ok();
        assert!(there, "there is no `{program}`: install Debian's {package}. {WAY_OUT}");
    }
    let user = Command::new("id").arg("-u").output().expect("`id` runs");
    let root = user.stdout.trim_ascii() == b"0";
    assert!(root, "making network namespaces takes root. {WAY_OUT}");
    let listed = Command::new("ip").args(["netns", "list"]).output();
    assert!(
        listed.is_ok_and(|output| output.status.success()),
        "there are no network namespaces on this system. {WAY_OUT}"
    );
}

/// Runs a program, and returns what it prints.
///
/// # Panics
/// If it fails; the message has what it said.
pub fn run(program: &str, arguments: &[&str]) -> String {
    run_with_input(program, arguments, "")
}

/// As [`run`], with something to read.
///
/// # Panics
/// As [`run`].
pub fn run_with_input(program: &str, arguments: &[&str], input: &str) -> String {
    let what = || format!("{program} {}", arguments.join(" "));
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", what()));
    let mut stdin = child.stdin.take().expect("it is piped");
    // Whoever reads nothing says why on its own.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap_or_else(|error| panic!("{}: {error}", what()));
    assert!(
        output.status.success(),
        "{} failed: {}\n{input}",
        what(),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a program that may fail, as what it is to remove may be gone.
pub fn try_run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(|_| String::new(), |out| String::from_utf8_lossy(&out.stdout).into_owned())
}
