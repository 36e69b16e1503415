//! Names of parameters in one implementation of an architecture, rewritten to those of another.

/// A rule: names that fit the first part become the second.
///
/// `{s}` in the first stands for a number, called `s`, and a `*` at its end for whatever follows. In the second, `{s}`,
/// `{s+1}`, `{s-1}` and `{2s+1}` are computed from it.
pub(super) type Rule = (&'static str, &'static str);

/// The number of the first rule that fits, and the name by it.
pub(super) fn rename(rules: &[Rule], name: &str) -> Option<(usize, String)> {
    rules.iter().enumerate().find_map(|(number, (pattern, replacement))| {
        let (numbers, rest) = fit(pattern, name)?;
        Some((number, fill(replacement, &numbers, rest)?))
    })
}

/// The numbers in a name that fits a pattern, and what its `*` stands for.
fn fit<'n>(pattern: &str, name: &'n str) -> Option<(Vec<(char, usize)>, &'n str)> {
    let (mut pattern, mut name, mut numbers) = (pattern, name, Vec::new());
    loop {
        match pattern.chars().next() {
            None => return name.is_empty().then_some((numbers, "")),
            Some('*') => return Some((numbers, name)),
            Some('{') => {
                let variable = pattern[1..].chars().next()?;
                pattern = pattern[1..].strip_prefix(variable)?.strip_prefix('}')?;
                let digits = name.len() - name.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                // No network has a part of a larger number.
                let number = name[..digits].parse().ok().filter(|&number| number < 100_000)?;
                name = &name[digits..];
                numbers.push((variable, number));
            }
            Some(letter) => {
                name = name.strip_prefix(letter)?;
                pattern = &pattern[letter.len_utf8()..];
            }
        }
    }
}

fn fill(replacement: &str, numbers: &[(char, usize)], rest: &str) -> Option<String> {
    let mut filled = String::new();
    let mut left = replacement;
    while let Some(start) = left.find(['{', '*']) {
        filled.push_str(&left[..start]);
        if left[start..].starts_with('*') {
            filled.push_str(rest);
            left = &left[start + 1..];
            continue;
        }
        let end = start + left[start..].find('}')?;
        filled.push_str(&compute(&left[start + 1..end], numbers)?.to_string());
        left = &left[end + 1..];
    }
    filled.push_str(left);
    Some(filled)
}

/// A factor, a variable and what is added, such as `2s+1`.
fn compute(formula: &str, numbers: &[(char, usize)]) -> Option<usize> {
    let place = formula.find(|c: char| c.is_ascii_lowercase())?;
    let factor = if place == 0 { 1 } else { formula[..place].parse().ok()? };
    let variable = formula[place..].chars().next()?;
    let (_, number) = numbers.iter().find(|(name, _)| *name == variable)?;
    let shift: isize = match &formula[place + 1..] {
        "" => 0,
        text => text.parse().ok()?,
    };
    (number * factor).checked_add_signed(shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_rewritten_by_the_first_rule_that_fits() {
        let rules: &[Rule] = &[
            ("stages.{s}.blocks.{i}.norm.*", "features.{2s+1}.{i}.block.2.*"),
            ("stages.{s}.downsample.{k}.*", "features.{2s}.{k}.*"),
            ("layers.{l}.x", "layer{l+1}"),
            ("*", "other.*"),
        ];
        let rename = |name: &str| rename(rules, name).map(|(_, name)| name);
        assert_eq!(rename("stages.3.blocks.12.norm.weight").as_deref(), Some("features.7.12.block.2.weight"));
        assert_eq!(rename("stages.2.downsample.1.bias").as_deref(), Some("features.4.1.bias"));
        assert_eq!(rename("layers.0.x").as_deref(), Some("layer1"));
        assert_eq!(rename("layers.0.xy").as_deref(), Some("other.layers.0.xy"));
        assert_eq!(super::rename(&[("a.{n}", "b.{n-1}")], "a.0"), None);
        assert_eq!(super::rename(&[("a.{n}", "b")], "a.99999999999999999999999"), None);
    }
}
