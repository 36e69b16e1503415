//! Text that was read, as it may stand in a page.

/// The text without characters that neither HTML nor XML may hold, however they are written. What is left is escaped where
/// it is put into a page.
pub fn clean(text: &str) -> String {
    let allowed = |c: char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
    text.chars().map(|c| if allowed(c) || matches!(c, '\n' | '\t') { c } else { '\u{fffd}' }).collect()
}
