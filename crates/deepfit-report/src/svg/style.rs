//! Colours and letters of plots.
//!
//! Colours are those of Okabe and Ito ("Color universal design", 2008), which people tell apart who see colours differently;
//! on a white page the lightest of them are darker. Each series has a dash and a shape of its own besides.

/// Colours of series on a light page.
const LIGHT: [&str; LOOKS] = ["#0072b2", "#d55e00", "#008060", "#b0508a", "#b07000", "#3a8fc4", "#666666"];
/// Letters and axes, what lies behind them, and the paper, of a light page.
const INK: &str = "#1b1b1b";
const FAINT: &str = "#d8d8d8";
const PAPER: &str = "#ffffff";
/// Colours of series on a dark page.
const DARK: [&str; LOOKS] = ["#56b4e9", "#ff8c42", "#2ec4a0", "#e29bc4", "#f0c24c", "#9ad1f5", "#b0b0b0"];

/// Number of different looks of series.
pub const LOOKS: usize = 7;

/// Lengths of strokes and gaps of lines.
pub const DASHES: [&str; LOOKS] = ["", "7 3", "2 3", "9 3 2 3", "4 2", "1 2", "12 4"];

/// The rules for plots, for a page and for a file by itself; colours by themselves, since many programs that draw SVG know
/// no variables.
pub fn rules() -> String {
    // Letters on cells of full colour, of right ones and of mistakes.
    let scheme = |ink: &str, faint: &str, paper: &str, on: [&str; 2], colours: &[&str; LOOKS]| {
        let [right, wrong] = on;
        let mut text = format!(
            ".plot text{{fill:{ink}}}.plot .paper{{fill:{paper}}}.plot .axis{{stroke:{ink}}}.plot .grid{{stroke:{faint}}}\
             .plot .guide{{stroke:{ink}}}.plot .cell{{stroke:{faint}}}.plot .on0{{fill:{right}}}.plot .on1{{fill:{wrong}}}"
        );
        for (look, colour) in colours.iter().enumerate() {
            text.push_str(&format!(".plot .s{look}{{stroke:{colour}}}.plot .f{look}{{fill:{colour}}}"));
        }
        text
    };
    let light = scheme(INK, FAINT, PAPER, [PAPER, INK], &LIGHT);
    let dark = scheme("#e8e8e8", "#454545", "#16181c", ["#101010", "#101010"], &DARK);
    format!(
        ".plot text{{font-family:system-ui,\"Segoe UI\",Roboto,\"DejaVu Sans\",sans-serif;font-size:12px}}\
         .plot .title{{font-size:14px;font-weight:600}}.plot .small{{font-size:10px}}.plot .tiny{{font-size:8px}}{light}@media (prefers-color-scheme:dark){{@media not print{{{dark}}}}}"
    )
}

/// The rules for a light page alone, for programs that know no others.
pub fn plain_rules() -> String {
    let all = rules();
    all.split("@media").next().unwrap_or_default().to_string()
}

/// The colour on a light page that a class gives to the fill, or to the stroke, of an element.
#[cfg(feature = "png")]
pub(crate) fn light(class: &str, of_stroke: bool) -> Option<&'static str> {
    let numbered = |prefix: char| class.strip_prefix(prefix)?.parse::<usize>().ok();
    match (class, of_stroke) {
        ("axis" | "guide", true) => Some(INK),
        ("grid" | "cell", true) => Some(FAINT),
        ("paper" | "on0", false) => Some(PAPER),
        ("on1", false) => Some(INK),
        (_, true) => LIGHT.get(numbered('s')?).copied(),
        (_, false) => LIGHT.get(numbered('f')?).copied(),
    }
}
