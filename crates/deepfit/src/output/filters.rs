//! What filters respond to, for a terminal and as JSON.

use std::path::{Path, PathBuf};

use deepfit_explain::LayerFilters;
use deepfit_train::text::{Style, Table, words};
use serde_json::{Value, json};

/// The channels of a layer in a table; pictures are called by their paths from where they are, one of `roots`.
pub fn text(filters: &LayerFilters, roots: &[PathBuf], page: Option<&Path>, style: Style) -> String {
    let LayerFilters { layer, of_channels, pictures, channels, .. } = filters;
    let heading = format!(
        "{layer}: {} of {} in {pictures} pictures",
        channels.len(),
        words::plural(*of_channels as u64, "channel")
    );
    let mut text = format!("{}\n", style.bold(&words::printable(&heading)));
    let mut table = Table::new(2, &["channel", "looks like", "largest", "maximised", "most excited by"]);
    for channel in channels {
        let number = |value: f32| words::number(f64::from(value));
        let made = &channel.maximised;
        let reached =
            if made.reached { number(made.activation) } else { format!("{} (failed)", number(made.activation)) };
        let name = |input: &String| relative(input, roots);
        let best = channel.pictures.first().map_or(String::new(), |one| name(&one.input));
        table.row(vec![
            channel.channel.to_string(),
            channel.looks.map_or(String::new(), |looks| looks.to_string()),
            number(channel.largest),
            reached,
            words::shortened(&best, 40),
        ]);
    }
    text.push_str(&table.render(style));
    if filters.failed() > 0 {
        let told = format!(
            "warning: for {} no picture could be made that excites it more than those do: what was made says little of it\n",
            words::plural(filters.failed() as u64, "channel")
        );
        text.push_str(&format!("  {}", style.yellow(&told)));
    }
    if let Some(page) = page {
        text.push_str(&format!("  {}\n", style.dim(&words::printable(&page.display().to_string()))));
    }
    text
}

/// The path of a picture from where pictures are; of one that was given itself, its name.
fn relative(input: &str, roots: &[PathBuf]) -> String {
    let path = Path::new(input);
    let inside =
        roots.iter().filter_map(|root| path.strip_prefix(root).ok()).find(|path| path.components().next().is_some());
    let shown = inside.or(path.file_name().map(Path::new)).unwrap_or(path);
    shown.to_string_lossy().into_owned()
}

/// An object for each channel.
pub fn json(filters: &LayerFilters, page: Option<&Path>) -> Vec<Value> {
    let object = |channel| {
        let mut object = json!({ "layer": filters.layer });
        if let (Value::Object(object), Ok(Value::Object(channel))) = (&mut object, serde_json::to_value(channel)) {
            object.extend(channel);
            object.insert("page".to_string(), json!(page));
        }
        object
    };
    filters.channels.iter().map(object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_called_by_their_paths_in_the_data() {
        let roots = [PathBuf::from("data/few"), PathBuf::from("one.png")];
        assert_eq!(relative("data/few/with/0.png", &roots), "with/0.png");
        assert_eq!(relative("one.png", &roots), "one.png");
        assert_eq!(relative("elsewhere/0.png", &roots), "0.png");
    }
}
