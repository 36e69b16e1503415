//! Ctrl-C and SIGTERM.
//!
//! While a run trains, the first one asks for a stop, after which the checkpoint is written; a second one ends the
//! process at once. At any other time the first one does: there is nothing to save. The handlers only touch atomics
//! (and `_exit`), which is all that a signal handler may do; what is told is told by a thread that waits for signals.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use signal_hook::{flag, low_level};

use crate::exit::Exit;
use crate::output;

/// The state of the signals.
pub struct Interrupt {
    /// A signal has come: the next one ends the process.
    came: Arc<AtomicBool>,
    /// A signal does not end the process, but asks for a stop.
    deferred: Arc<AtomicBool>,
}

impl Interrupt {
    /// Installs the handlers; until [`Interrupt::defer`] a signal ends the process with status 130, after it has told
    /// `words`, if there are any.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn install(words: Option<&'static str>) -> anyhow::Result<Interrupt> {
        let (came, deferred) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        for signal in [SIGINT, SIGTERM] {
            // The order counts: the first looks at the flag before the second sets it.
            flag::register_conditional_shutdown(signal, Exit::Interrupted.code().into(), came.clone())?;
            flag::register(signal, came.clone())?;
        }
        // A file that grows over the user's limit is then an error of writing, which is told, and not the end.
        flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let interrupt = Interrupt { came, deferred: deferred.clone() };
        std::thread::Builder::new().name("signals".to_string()).spawn(move || {
            for _ in signals.forever() {
                if !deferred.load(Ordering::SeqCst) {
                    if let Some(words) = words {
                        output::say(words);
                    }
                    low_level::exit(Exit::Interrupted.code().into());
                }
            }
        })?;
        Ok(interrupt)
    }

    /// From now on the first signal only asks.
    pub fn defer(&self) {
        self.deferred.store(true, Ordering::SeqCst);
    }

    /// Whether a signal has asked for a stop.
    pub fn requested(&self) -> bool {
        self.came.load(Ordering::SeqCst)
    }
}
