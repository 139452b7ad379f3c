//! Building a project's component.

use std::{path::PathBuf, process::Stdio};

use tokio::process::Command;

use super::Project;
use crate::failure::{Exit, Failure};

/// How a project is built.
#[derive(Debug, Clone)]
pub struct Builder {
    command: String,
    arguments: Vec<String>,
    /// The target that it builds for, if that is known.
    target: Option<&'static str>,
}

impl Builder {
    /// How this project is built: by the command given, by `cargo component` if
    /// the project is made for it and it is installed, else by plain `cargo`.
    ///
    /// # Errors
    /// If it is no Rust project and no command is given.
    pub async fn of(project: &Project, command: Option<&str>) -> Result<Self, Failure> {
        if let Some(command) = command {
            return Ok(Self::new("sh", &["-c", command], None));
        }
        if !project.is_rust() {
            let place = project.directory.display();
            return Err(Failure::usage(format!(
                "{place} has no Cargo.toml, so how it is built is not known"
            ))
            .hint("say it with --build-command, as in --build-command 'npm run build'"));
        }
        if project.is_for_cargo_component() && has_cargo_component().await {
            return Ok(Self::new(
                "cargo",
                &["component", "build", "--release"],
                Some("wasm32-wasip1"),
            ));
        }
        let arguments = ["build", "--release", "--target", "wasm32-wasip2"];
        Ok(Self::new("cargo", &arguments, Some("wasm32-wasip2")))
    }

    fn new(command: &str, arguments: &[&str], target: Option<&'static str>) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self { command: command.into(), arguments, target }
    }

    /// The command as people would type it.
    pub fn shown(&self) -> String {
        match self.arguments.as_slice() {
            [flag, command] if self.command == "sh" && flag == "-c" => command.clone(),
            arguments => format!("{} {}", self.command, arguments.join(" ")),
        }
    }

    /// Builds; the compiler's own words go to standard error as they come.
    /// Gives the component's file.
    ///
    /// # Errors
    /// If the build fails, or leaves no component.
    pub async fn build(&self, project: &Project) -> Result<PathBuf, Failure> {
        let status = Command::new(&self.command)
            .args(&self.arguments)
            .current_dir(&project.directory)
            .stdin(Stdio::null())
            // Standard output is for the verb's own result.
            .stdout(std::io::stderr())
            .kill_on_drop(true)
            .status()
            .await
            .map_err(|error| {
                Failure::new(
                    Exit::BuildFailed,
                    format!("`{}` could not be started: {error}", self.shown()),
                )
            })?;
        if !status.success() {
            let failure =
                Failure::new(Exit::BuildFailed, format!("`{}` failed ({status})", self.shown()));
            return Err(match self.target {
                Some(target) if is_missing(target).await => failure.hint(format!(
                    "Rust's {target} target is not installed: rustup target add {target}"
                )),
                _ => failure,
            });
        }
        // A project may be set to build for another target than the usual one.
        match project.newest_component(self.target) {
            Ok(path) => Ok(path),
            Err(_) => project.newest_component(None),
        }
    }
}

/// Whether Rust's own libraries for a target are not installed.
async fn is_missing(target: &str) -> bool {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", target])
        .stdin(Stdio::null())
        .output()
        .await;
    output.is_ok_and(|output| {
        let directory = String::from_utf8_lossy(&output.stdout);
        output.status.success() && !std::path::Path::new(directory.trim()).is_dir()
    })
}

async fn has_cargo_component() -> bool {
    let version = Command::new("cargo")
        .args(["component", "--version"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    version.await.is_ok_and(|status| status.success())
}
