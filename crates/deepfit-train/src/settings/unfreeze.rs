//! How much of a published network is trained, beside its last layer.

use serde::{Deserialize, Serialize};

/// How many of the last blocks of a published network are trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Unfreeze {
    /// So many; 0 leaves the backbone as it is.
    Blocks(u32),
    /// All of them.
    All,
}

/// As it stands in a file: `unfreeze = 2` or `unfreeze = "all"`.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u32),
    Word(String),
}

impl TryFrom<Written> for Unfreeze {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Number(blocks) => Ok(Unfreeze::Blocks(blocks)),
            Written::Word(word) => match &word[..] {
                "all" => Ok(Unfreeze::All),
                "none" => Ok(Unfreeze::Blocks(0)),
                _ => Err(format!("`{word}` is neither a number of blocks nor all or none")),
            },
        }
    }
}

impl From<Unfreeze> for Written {
    fn from(unfreeze: Unfreeze) -> Self {
        match unfreeze {
            Unfreeze::Blocks(blocks) => Written::Number(blocks),
            Unfreeze::All => Written::Word("all".to_string()),
        }
    }
}
