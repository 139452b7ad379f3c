//! The half of a faulty wire that is read.

use std::{
    collections::VecDeque,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{Faults, faults::Plan};
use crate::ReadHalf;

/// How much of what is delayed is held.
const LATE_BYTES_MAX: usize = 1 << 20;
const PIECE_BYTES: usize = 16 << 10;

pub(super) struct FaultyRead {
    inner: ReadHalf,
    faults: Faults,
    cuts: u64,
    late: VecDeque<(Instant, Vec<u8>)>,
    late_bytes: usize,
    ended: bool,
    timer: Option<Pin<Box<Sleep>>>,
    /// Nothing comes before.
    not_before: Option<Instant>,
}

impl FaultyRead {
    pub(super) fn new(inner: ReadHalf, faults: Faults) -> Self {
        let cuts = faults.with(|plan| plan.cuts);
        Self {
            inner,
            faults,
            cuts,
            late: VecDeque::new(),
            late_bytes: 0,
            ended: false,
            timer: None,
            not_before: None,
        }
    }

    /// Takes what has come into the queue of what comes later.
    fn fill(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while !self.ended && self.late_bytes < LATE_BYTES_MAX {
            let mut piece = vec![0; PIECE_BYTES];
            let mut buffer = ReadBuf::new(&mut piece);
            match Pin::new(&mut self.inner).poll_read(context, &mut buffer) {
                Poll::Pending => return Ok(()),
                Poll::Ready(read) => read?,
            }
            let count = buffer.filled().len();
            piece.truncate(count);
            self.ended = count == 0;
            self.late_bytes += count;
            let delay = self.faults.with(|plan| {
                corrupt(plan, &mut piece);
                delay(plan)
            });
            let last = self.late.back().map(|(due, _)| *due);
            let due = Instant::now() + delay;
            self.late.push_back((last.map_or(due, |last| last.max(due)), piece));
        }
        Ok(())
    }

    fn sleep(&mut self, until: Instant, context: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.insert(Box::pin(sleep_until(until)));
        timer.as_mut().poll(context)
    }
}

fn delay(plan: &mut Plan) -> Duration {
    let Some(range) = plan.delay.clone() else { return Duration::ZERO };
    plan.counts.delayed += 1;
    let span = u64::try_from((range.end - range.start).as_nanos()).unwrap_or(u64::MAX);
    range.start + Duration::from_nanos(plan.random() % span.max(1))
}

fn corrupt(plan: &mut Plan, piece: &mut [u8]) {
    let Some(one_in) = plan.corrupt_one_in else { return };
    if piece.is_empty() || !plan.random().is_multiple_of(u64::from(one_in)) {
        return;
    }
    plan.counts.corrupted += 1;
    let bit = plan.random();
    let at = usize::try_from(bit >> 3).unwrap_or(0) % piece.len();
    if let Some(byte) = piece.get_mut(at) {
        *byte ^= 1 << (bit & 7);
    }
}

impl AsyncRead for FaultyRead {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let (cut, hold, trickle) = this.faults.with(|plan| {
            plan.wake_on_change(context.waker());
            let cut = plan.cuts != this.cuts;
            plan.counts.cut += u64::from(cut);
            plan.counts.held += u64::from(plan.hold_reads);
            (cut, plan.hold_reads, plan.trickle)
        });
        if cut {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if hold {
            return Poll::Pending;
        }
        if let Some(not_before) = this.not_before {
            ready!(this.sleep(not_before, context));
            this.not_before = None;
        }
        this.fill(context)?;
        let Some((due, piece)) = this.late.front_mut() else {
            return if this.ended { Poll::Ready(Ok(())) } else { Poll::Pending };
        };
        let due = *due;
        if due > Instant::now() {
            ready!(this.sleep(due, context));
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let most = trickle.map_or(usize::MAX, |(bytes, _)| bytes);
        let count = piece.len().min(buffer.remaining()).min(most);
        let rest = piece.split_off(count);
        buffer.put_slice(piece);
        this.late_bytes -= count;
        if rest.is_empty() {
            this.late.pop_front();
        } else {
            *piece = rest;
        }
        if let Some((_, pause)) = trickle {
            this.not_before = Some(Instant::now() + pause);
            this.faults.with(|plan| plan.counts.trickled += 1);
        }
        Poll::Ready(Ok(()))
    }
}
