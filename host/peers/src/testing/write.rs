//! The half of a faulty wire that is written.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::AsyncWrite,
    time::{Instant, Sleep, sleep_until},
};

use super::Faults;
use crate::WriteHalf;

/// How much the system would take before a write has to wait.
const HELD_BYTES_MAX: usize = 256 << 10;

pub(super) struct FaultyWrite {
    inner: WriteHalf,
    faults: Faults,
    cuts: u64,
    held: Vec<u8>,
    pause: Option<Pin<Box<Sleep>>>,
}

enum Now {
    Hold,
    Write(Option<(usize, std::time::Duration)>),
}

impl FaultyWrite {
    pub(super) fn new(inner: WriteHalf, faults: Faults) -> Self {
        let cuts = faults.with(|plan| plan.cuts);
        Self { inner, faults, cuts, held: Vec::new(), pause: None }
    }

    fn now(&self, context: &Context<'_>) -> io::Result<Now> {
        self.faults.with(|plan| {
            plan.wake_on_change(context.waker());
            if plan.cuts != self.cuts {
                plan.counts.cut += 1;
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Ok(if plan.hold_writes { Now::Hold } else { Now::Write(plan.trickle) })
        })
    }

    /// Sends what was held.
    fn release(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(context, &self.held))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for FaultyWrite {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.now(context)? {
            Now::Hold => {
                let room = HELD_BYTES_MAX.saturating_sub(this.held.len());
                if room == 0 {
                    return Poll::Pending;
                }
                let taken = bytes.get(..bytes.len().min(room)).unwrap_or(bytes);
                this.held.extend_from_slice(taken);
                this.faults.with(|plan| plan.counts.held += 1);
                Poll::Ready(Ok(taken.len()))
            }
            Now::Write(trickle) => {
                if let Some(pause) = &mut this.pause {
                    ready!(pause.as_mut().poll(context));
                    this.pause = None;
                }
                ready!(this.release(context))?;
                let Some((most, pause)) = trickle else {
                    return Pin::new(&mut this.inner).poll_write(context, bytes);
                };
                let some = bytes.get(..bytes.len().min(most)).unwrap_or(bytes);
                let written = ready!(Pin::new(&mut this.inner).poll_write(context, some))?;
                this.pause = Some(Box::pin(sleep_until(Instant::now() + pause)));
                this.faults.with(|plan| plan.counts.trickled += 1);
                Poll::Ready(Ok(written))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Now::Write(_) = this.now(context)? {
            ready!(this.release(context))?;
            return Pin::new(&mut this.inner).poll_flush(context);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Now::Write(_) = this.now(context)? {
            ready!(this.release(context))?;
            return Pin::new(&mut this.inner).poll_shutdown(context);
        }
        // The end of what is said vanishes too.
        Poll::Ready(Ok(()))
    }
}
