//! Long work: progress bars, and a priority below that of a node.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error that counts to `total`, or only counts; nothing is shown if that is no terminal.
pub fn progress_bar(total: Option<u64>, unit: &str) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            format!("{{wide_bar}} {{human_pos}}/{{human_len}} {unit}, {{per_sec}}, {{eta}} left"),
        ),
        None => (
            ProgressBar::no_length(),
            format!("{{spinner}} {{human_pos}} {unit}, {{per_sec}}"),
        ),
    };
    let style = ProgressStyle::with_template(&template);
    bar.with_style(style.expect("the template is valid"))
}

/// Lowers the priority of this thread to the lowest, for work that must not delay the requests of a node on the
/// same machine.
pub fn lower_priority() {
    // Without it the work is done too.
    let _ = rustix::process::setpriority_process(None, 19);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_valid() {
        for total in [Some(3), None] {
            progress_bar(total, "packets").finish();
        }
    }
}
