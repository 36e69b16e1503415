//! Ctrl-C and SIGTERM.
//!
//! While a run trains, the first one asks for a stop, after which the checkpoint is written; a second one ends the
//! process at once. At any other time the first one does: there is nothing to save. The handlers only touch atomics
//! (and `_exit`), which is all that a signal handler may do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;

use crate::exit::Exit;

/// The state of the signals.
pub struct Interrupt {
    /// The next signal ends the process.
    exit_at_once: Arc<AtomicBool>,
}

impl Interrupt {
    /// Installs the handlers; until [`Interrupt::defer`] a signal ends the process with status 130.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn install() -> anyhow::Result<Interrupt> {
        let exit_at_once = Arc::new(AtomicBool::new(true));
        for signal in [SIGINT, SIGTERM] {
            // The order counts: the first looks at the flag before the second sets it.
            flag::register_conditional_shutdown(signal, Exit::Interrupted.code().into(), exit_at_once.clone())?;
            flag::register(signal, exit_at_once.clone())?;
        }
        // A file that grows over the user's limit is then an error of writing, which is told, and not the end.
        flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        Ok(Interrupt { exit_at_once })
    }

    /// From now on the first signal only asks.
    pub fn defer(&self) {
        self.exit_at_once.store(false, Ordering::SeqCst);
    }

    /// Whether a signal has asked for a stop since [`Interrupt::defer`].
    pub fn requested(&self) -> bool {
        self.exit_at_once.load(Ordering::SeqCst)
    }
}
