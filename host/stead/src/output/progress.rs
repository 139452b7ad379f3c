//! Progress of long work, shown only where a person looks.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Screen;

/// Progress of something long; gone from the screen when dropped.
pub struct Progress(ProgressBar);

impl Progress {
    /// So much more is done.
    pub fn advance(&self, count: u64) {
        self.0.inc(count);
    }

    /// So much is done, of so much.
    pub fn reach(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }

    /// Another word beside it.
    pub fn say(&self, text: String) {
        self.0.set_message(text);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A bar over so many bytes.
pub fn bytes_bar(screen: &Screen, total: u64, text: &str) -> Progress {
    let bar = ProgressBar::with_draw_target(Some(total), target(screen));
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {eta}")
    {
        bar.set_style(style);
    }
    bar.set_message(text.to_owned());
    Progress(bar)
}

/// A bar over so many things.
pub fn count_bar(screen: &Screen, total: u64, text: &str) -> Progress {
    let bar = ProgressBar::with_draw_target(Some(total), target(screen));
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}") {
        bar.set_style(style);
    }
    bar.set_message(text.to_owned());
    Progress(bar)
}

/// Something that moves while work of unknown length goes on.
pub fn spinner(screen: &Screen, text: &str) -> Progress {
    let bar = ProgressBar::with_draw_target(None, target(screen));
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(text.to_owned());
    if screen.watched && !screen.json {
        bar.enable_steady_tick(Duration::from_millis(100));
    }
    Progress(bar)
}

fn target(screen: &Screen) -> ProgressDrawTarget {
    if screen.watched && !screen.json {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    }
}
