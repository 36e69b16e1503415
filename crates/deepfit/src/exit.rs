//! How the command ends: exit codes and error messages.

use std::fmt;

use deepfit_explain::ExplainError;
use deepfit_report::ReportError;
use deepfit_train::{ErrorKind, TrainError};

use crate::output::{self, Closed};
use deepfit_train::text::Style;

/// How a sub-command ended when it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All was done.
    Done,
    /// Some inputs were bad, the others were handled.
    BadInput,
    /// Somebody asked for a stop.
    Interrupted,
}

impl Exit {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::BadInput => 2,
            Exit::Interrupted => 130,
        }
    }
}

/// The command was called wrongly, or with a file that cannot be used; exit code 2.
#[derive(Debug)]
pub struct Usage(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Reports an error and gives its exit code.
pub fn report(error: &anyhow::Error) -> u8 {
    if error.chain().any(|cause| cause.is::<Closed>()) {
        return Exit::Done.code();
    }
    output::say(&format!("{} {}", Style::stderr().red("error:"), message(error)));
    code(error)
}

fn code(error: &anyhow::Error) -> u8 {
    let bad_input = error.chain().any(|cause| {
        cause.is::<Usage>()
            || cause.is::<deepfit_data::Error>()
            || cause.downcast_ref::<TrainError>().is_some_and(|e| e.kind() == ErrorKind::Input)
            || cause.downcast_ref::<ReportError>().is_some_and(ReportError::is_input)
            || cause.downcast_ref::<ExplainError>().is_some_and(|e| e.kind() == ErrorKind::Input)
    });
    #[cfg(feature = "hub")]
    let bad_input = bad_input
        || error.chain().any(|cause| {
            use deepfit_hub::HubError::{Absent, Name};
            matches!(cause.downcast_ref(), Some(Absent { .. } | Name { .. }))
        });
    if bad_input { Exit::BadInput.code() } else { 1 }
}

/// The error and its causes in one line; a cause that the message before it already tells is left out.
fn message(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_once() {
        let inner = std::io::Error::other("disk on fire");
        let error = anyhow::Error::new(inner).context("cannot write 'x': disk on fire").context("no checkpoint");
        assert_eq!(message(&error), "no checkpoint: cannot write 'x': disk on fire");
        assert_eq!(code(&error), 1);
        assert_eq!(code(&anyhow::Error::new(Usage("no data".into())).context("train")), 2);
    }
}
