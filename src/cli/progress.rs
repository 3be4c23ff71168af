//! Progress bar for interactive use.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Returns a bar for `bytes` bytes on standard error, if that is a terminal.
#[expect(clippy::disallowed_methods, reason = "the bar shows numbers alone")]
pub(super) fn bar(bytes: u64) -> Option<ProgressBar> {
    if !stderr().is_terminal() {
        return None;
    }
    let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{wide_bar} {bytes} of {total_bytes}, {eta}");
    bar.set_style(style.expect("the template is well-formed"));
    Some(bar)
}
