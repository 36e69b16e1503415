//! When a published network was made, by what is known of it.

use std::path::Path;

use super::words::latest_year;
use crate::published::{BUNDLED, BUNDLED_TEXT, text_folder};
use crate::run_folder::read_text;

/// Families of networks, by `model_type`, and the year in which the first were published: whatever is of a family is not
/// older, and may be younger.
const FAMILIES: [(&str, u32); 21] = [
    ("resnet", 2015),
    ("mobilenet_v2", 2018),
    ("efficientnet", 2019),
    ("vit", 2020),
    ("bert", 2018),
    ("gpt2", 2019),
    ("roberta", 2019),
    ("xlm-roberta", 2019),
    ("distilbert", 2019),
    ("albert", 2019),
    ("electra", 2020),
    ("mpnet", 2020),
    ("deberta-v2", 2020),
    ("gpt_neo", 2021),
    ("gpt_neox", 2022),
    ("llama", 2023),
    ("mistral", 2023),
    ("qwen2", 2024),
    ("gemma", 2024),
    ("modernbert", 2024),
    ("qwen3", 2025),
];

/// The year of a published network, and by what it is known.
pub(super) fn model_year(name: &str) -> Option<(u32, String)> {
    match name {
        BUNDLED => return Some((2020, "its weights were published in 2020".to_string())),
        BUNDLED_TEXT => return Some((2021, "the network that it was made of was published in 2021".to_string())),
        _ => {}
    }
    let folder = text_folder(Path::new(name));
    let text = |file: &str| read_text(&folder.join(file)).ok();
    dated(text("README.md").as_deref(), text("config.json").as_deref())
}

fn dated(card: Option<&str>, config: Option<&str>) -> Option<(u32, String)> {
    // What its authors write of it names its year, or years before that.
    if let Some(year) = card.and_then(latest_year) {
        return Some((year, format!("the latest year that its README.md names is {year}")));
    }
    let config: serde_json::Value = serde_json::from_str(config?).ok()?;
    let family = config.get("model_type")?.as_str()?;
    let (_, year) = FAMILIES.iter().find(|(known, _)| *known == family)?;
    Some((*year, format!("its family, {family}, was published in {year}; it may be younger")))
}

#[cfg(test)]
mod tests {
    use super::{dated, model_year};

    #[test]
    fn a_model_is_dated_by_its_readme_or_else_by_its_family() {
        let config = Some(r#"{"model_type": "llama"}"#);
        assert_eq!(dated(Some("Trained in 2024 on texts up to 2023."), config).unwrap().0, 2024);
        assert_eq!(dated(Some("A model."), config).unwrap().0, 2023);
        assert_eq!(dated(None, Some(r#"{"model_type": "unheard of"}"#)), None);
        assert_eq!(dated(None, Some("no JSON")), None);
        assert_eq!(dated(None, Some(r#"{"model_type": "vit"}"#)).unwrap().0, 2020);
        assert_eq!(model_year("no such folder"), None);
        assert_eq!(model_year(crate::published::BUNDLED).unwrap().0, 2020);
    }
}
