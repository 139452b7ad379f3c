//! The body of a request, sent in pieces so that its progress can be shown.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::output::Progress;

/// Pieces this large are handed to the connection.
const PIECE_BYTES: usize = 64 << 10;

/// A body of known size, perhaps with a progress bar.
pub struct Upload {
    rest: Bytes,
    progress: Option<Progress>,
}

impl Upload {
    /// A body without progress.
    pub fn new(bytes: Bytes) -> Self {
        Self { rest: bytes, progress: None }
    }

    /// Shows how far it has come.
    pub fn with_progress(mut self, progress: Progress) -> Self {
        self.progress = Some(progress);
        self
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let size = self.rest.len().min(PIECE_BYTES);
        let piece = self.rest.split_to(size);
        if let Some(progress) = &self.progress {
            progress.advance(u64::try_from(size).unwrap_or(0));
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.rest.len()).unwrap_or(u64::MAX))
    }
}
