//! A setting that is a name, perhaps with settings of its own: `schedule=step schedule.gamma=0.5`.

use serde::{Deserialize, Serialize};
use toml::Table;

/// A name, and what was set of what belongs to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Choice {
    /// The name.
    pub name: String,
    /// Its own settings.
    pub parts: Table,
}

/// As it stands in a file: a name alone, or a table with the name in it.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Name(String),
    Table {
        name: String,
        #[serde(flatten)]
        parts: Table,
    },
}

impl From<Written> for Choice {
    fn from(written: Written) -> Self {
        match written {
            Written::Name(name) => Choice { name, parts: Table::new() },
            Written::Table { name, parts } => Choice { name, parts },
        }
    }
}

impl From<Choice> for Written {
    fn from(Choice { name, parts }: Choice) -> Self {
        if parts.is_empty() { Written::Name(name) } else { Written::Table { name, parts } }
    }
}

impl From<&str> for Choice {
    fn from(name: &str) -> Self {
        Choice { name: name.to_string(), parts: Table::new() }
    }
}

impl Choice {
    /// Name and parts as one table.
    pub fn table(&self) -> Table {
        let mut table = self.parts.clone();
        table.insert("name".to_string(), self.name.clone().into());
        table
    }
}
