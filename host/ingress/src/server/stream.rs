//! A connection's bytes, with notes of their coming and going, and a close that
//! does not lose the last answer.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Sleep,
};

use super::activity::Activity;

/// The most bytes that are read and thrown away while a connection closes.
const LINGER_BYTES_MAX: usize = 4 << 20;

/// A TCP stream that tells its [`Activity`] what happens.
pub struct WatchedStream {
    stream: TcpStream,
    activity: Arc<Activity>,
    linger: Duration,
    closing: Closing,
    /// Whether the client has said all that it will.
    read_to_end: bool,
}

enum Closing {
    No,
    /// The end is sent; the client's is awaited, but not for ever.
    Lingering {
        until: Pin<Box<Sleep>>,
        bytes: usize,
    },
    Done,
}

impl WatchedStream {
    pub fn new(stream: TcpStream, activity: Arc<Activity>, linger: Duration) -> Self {
        Self { stream, activity, linger, closing: Closing::No, read_to_end: false }
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        match buffer.filled().get(before..) {
            Some(bytes) if !bytes.is_empty() => this.activity.received(bytes),
            _ => this.read_to_end = true,
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.activity.written(written.is_ready());
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.activity.written(written.is_ready());
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    /// Sends the end of the stream, and then reads on for a while: a socket
    /// closed with unread bytes resets the connection, and the reset would
    /// overtake an answer such as `413` before the client has read it.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match &mut this.closing {
                Closing::No => {
                    ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
                    this.closing = if this.read_to_end {
                        Closing::Done
                    } else {
                        let until = Box::pin(tokio::time::sleep(this.linger));
                        Closing::Lingering { until, bytes: 0 }
                    };
                }
                Closing::Lingering { until, bytes } => {
                    if until.as_mut().poll(context).is_ready() || *bytes > LINGER_BYTES_MAX {
                        this.closing = Closing::Done;
                        continue;
                    }
                    let mut scratch = [0; 4 << 10];
                    let mut scratch = ReadBuf::new(&mut scratch);
                    match ready!(Pin::new(&mut this.stream).poll_read(context, &mut scratch)) {
                        Ok(()) if !scratch.filled().is_empty() => *bytes += scratch.filled().len(),
                        Ok(()) | Err(_) => this.closing = Closing::Done,
                    }
                }
                Closing::Done => return Poll::Ready(Ok(())),
            }
        }
    }
}
