//! Progress bar for interactive use.

use std::io::stderr;
use std::ops::ControlFlow;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::terminal::is_capable;
use crate::progress::{Observer, Phase, Progress};

/// Styles of the bar, by what is known of a phase.
const BYTES: &str = "{prefix:19} {wide_bar} {bytes} of {total_bytes}, {eta}";
const COUNT: &str = "{prefix:19} {human_pos} files";
const NOTHING: &str = "{prefix}";

/// Bar for the current phase of a build.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// Returns a bar on standard error, if that is a terminal that can show it.
    #[expect(clippy::disallowed_methods, reason = "the bar shows numbers alone")]
    pub(super) fn new() -> Option<Arc<Self>> {
        if !is_capable(&stderr()) {
            return None;
        }
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        Some(Arc::new(Self(bar)))
    }

    /// Shows that the image is flushed to the disk, which takes a time that is not known.
    pub(super) fn flush(&self) {
        self.start("flushing", NOTHING, 0);
    }

    /// Removes the bar.
    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
    }

    /// Starts a phase, and shows its name however short it is.
    fn start(&self, name: &'static str, style: &str, total: u64) {
        // Each of these calls may draw, so the style comes first.
        self.0.set_style(ProgressStyle::with_template(style).expect("a template of this file"));
        self.0.set_prefix(name);
        self.0.set_length(total);
        self.0.reset();
        self.0.force_draw();
    }
}

impl Observer for Bar {
    fn observe(&self, progress: Progress) -> ControlFlow<()> {
        let Progress { phase, done, total, .. } = progress;
        let name = match phase {
            Phase::Read => "reading the tree",
            Phase::Scan => "scanning",
            Phase::Encode => "compressing",
            Phase::Write => "writing",
            Phase::Hash => "writing and hashing",
        };
        // Every file system of an image has a phase of its own.
        if self.0.prefix() != name || self.0.length() != Some(total) {
            self.start(name, if total == 0 { COUNT } else { BYTES }, total);
        }
        self.0.set_position(self.0.position().max(done));
        ControlFlow::Continue(())
    }
}
