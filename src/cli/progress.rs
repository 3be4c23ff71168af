//! Progress bar for interactive use.

use std::io::{IsTerminal, stderr};
use std::ops::ControlFlow;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::progress::{Observer, Progress};

/// Bar for each phase of a build.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// Returns a bar on standard error, if that is a terminal.
    #[expect(clippy::disallowed_methods, reason = "the bar shows numbers alone")]
    pub(super) fn new() -> Option<Arc<Self>> {
        if !stderr().is_terminal() {
            return None;
        }
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let style = "{prefix:6} {wide_bar} {bytes} of {total_bytes}, {eta}";
        let style = ProgressStyle::with_template(style);
        bar.set_style(style.expect("the template is well-formed"));
        Some(Arc::new(Self(bar)))
    }

    /// Removes the bar.
    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

impl Observer for Bar {
    fn observe(&self, progress: Progress) -> ControlFlow<()> {
        let Progress { phase, done, total, .. } = progress;
        let phase = phase.to_string();
        if self.0.prefix() != phase {
            self.0.reset();
            self.0.set_prefix(phase);
        }
        self.0.set_length(total);
        self.0.set_position(self.0.position().max(done));
        ControlFlow::Continue(())
    }
}
