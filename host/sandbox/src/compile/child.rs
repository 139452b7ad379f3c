//! The parent's side: starts the child, feeds it, and waits no longer than the deadline.

use std::{
    io::{self, Read, Write},
    os::unix::process::ExitStatusExt,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use super::worker::{Job, MARK, verdict};
use crate::{engine::Tuning, load_error::LoadError, options::LoadLimits};

/// How much of what the child says on its standard error is read.
const COMPLAINT_BYTES_MAX: u64 = 4 << 10;
/// The most bytes in an answer that is a text.
const TEXT_BYTES_MAX: u64 = 64 << 10;

pub(super) fn compile(
    component: &[u8],
    command: Command,
    tuning: &Tuning,
    limits: &LoadLimits,
) -> Result<Vec<u8>, LoadError> {
    let mut child = Running::start(command)?;
    let request = request(component.len(), tuning, limits)?;
    let (tell, told) = mpsc::channel();
    let (stdin, stdout, stderr) = child.pipes()?;
    let artifact_bytes_max = limits.artifact_bytes_max as u64;
    let outcome = std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut stdin = stdin;
            // If the child ends early its answer, or its end, says why.
            let _ = stdin.write_all(&request).and_then(|()| stdin.write_all(component));
        });
        let complaint = scope.spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.take(COMPLAINT_BYTES_MAX).read_to_end(&mut text);
            String::from_utf8_lossy(&text).trim().to_owned()
        });
        scope.spawn(move || {
            // The receiver waits until it is told, or has given up.
            let _ = tell.send(read_answer(stdout, artifact_bytes_max));
        });
        let answer = told.recv_timeout(Duration::from_millis(limits.compile_ms_max));
        // Whatever it is doing, it is done: killing it ends the threads too.
        let status = child.end();
        let complaint = complaint.join().unwrap_or_default();
        (answer, status, complaint)
    });
    match outcome {
        (Err(_), ..) => Err(LoadError::CompileDeadline(limits.compile_ms_max)),
        (Ok(Ok(answer)), ..) => read_verdict(answer),
        (Ok(Err(error)), status, complaint) => Err(silent_end(&error, status, &complaint, limits)),
    }
}

fn request(
    component_bytes: usize,
    tuning: &Tuning,
    limits: &LoadLimits,
) -> Result<Vec<u8>, LoadError> {
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let job = Job {
        tuning: tuning.clone(),
        memory_bytes_max: limits.compile_memory_bytes_max,
        processor_seconds_max: (limits.compile_ms_max * processors).div_ceil(1_000).max(1),
        component_bytes: component_bytes as u64,
        artifact_bytes_max: limits.artifact_bytes_max as u64,
    };
    let head = postcard::to_allocvec(&job)
        .map_err(|error| LoadError::Host(format!("a compile job can't be written: {error}")))?;
    let length = u32::try_from(head.len()).expect("a job's head has a few dozen bytes");
    Ok([MARK, &length.to_le_bytes()[..], &head].concat())
}

fn read_answer(mut stdout: impl Read, artifact_bytes_max: u64) -> io::Result<(u8, Vec<u8>)> {
    let mut verdict = [0];
    stdout.read_exact(&mut verdict)?;
    let mut length = [0; 8];
    stdout.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let [verdict] = verdict;
    let max = if verdict == verdict::COMPILED { artifact_bytes_max } else { TEXT_BYTES_MAX };
    let mut answer = Vec::new();
    stdout.take(length.min(max)).read_to_end(&mut answer)?;
    if answer.len() as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((verdict, answer))
}

fn read_verdict((verdict, answer): (u8, Vec<u8>)) -> Result<Vec<u8>, LoadError> {
    let text = |answer: &[u8]| String::from_utf8_lossy(answer).into_owned();
    match verdict {
        verdict::COMPILED => Ok(answer),
        verdict::INVALID => Err(LoadError::Invalid(text(&answer))),
        verdict::TOO_LARGE => Err(LoadError::TooComplex(text(&answer))),
        verdict::FAILED => Err(LoadError::Host(text(&answer))),
        other => Err(LoadError::Host(format!("the compiling process answered {other}"))),
    }
}

/// The child ended without an answer. Under its own limits it is killed for
/// time and aborts for memory; everything else is unexpected.
fn silent_end(
    error: &io::Error,
    status: Option<std::process::ExitStatus>,
    complaint: &str,
    limits: &LoadLimits,
) -> LoadError {
    const SIGXCPU: i32 = 24;
    const SIGABRT: i32 = 6;
    let signal = status.and_then(|status| status.signal());
    if signal == Some(SIGXCPU) {
        return LoadError::CompileDeadline(limits.compile_ms_max);
    }
    if signal == Some(SIGABRT) || complaint.contains("memory allocation") {
        return LoadError::CompileMemory(format!(
            "it needs over {} bytes",
            limits.compile_memory_bytes_max
        ));
    }
    let end = status.map_or_else(|| "in an unknown way".to_owned(), |status| status.to_string());
    LoadError::Host(format!("the compiling process ended ({end}; {error}): {complaint}"))
}

/// A child that does not outlive this.
struct Running(Child);

impl Running {
    fn start(mut command: Command) -> Result<Self, LoadError> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map(Self).map_err(|error| {
            let program = command.get_program().display();
            LoadError::Host(format!("the compiling process {program} can't be started: {error}"))
        })
    }

    fn pipes(
        &mut self,
    ) -> Result<(impl Write + use<>, impl Read + use<>, impl Read + use<>), LoadError> {
        match (self.0.stdin.take(), self.0.stdout.take(), self.0.stderr.take()) {
            (Some(stdin), Some(stdout), Some(stderr)) => Ok((stdin, stdout, stderr)),
            _ => Err(LoadError::Host("the compiling process has no pipes".into())),
        }
    }

    /// Kills it if it still runs, and says how it ended.
    fn end(&mut self) -> Option<std::process::ExitStatus> {
        if let Ok(Some(status)) = self.0.try_wait() {
            return Some(status);
        }
        // It has answered, or has run out of time, or is ending on its own:
        // in the last case the status is that of its own end.
        let _ = self.0.kill();
        self.0.wait().ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
