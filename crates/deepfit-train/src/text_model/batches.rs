//! Texts of similar lengths are put together, so that little is filled up.

/// Texts that are run together, by their places; the longest first.
pub(super) type Together = Vec<usize>;

/// Of a batch's tokens, at most one in so many fills up shorter texts.
const FILLED: usize = 10;

/// Shares texts out among batches of at most `tokens` tokens, or one text. Less than a tenth of a batch's tokens fill it up.
/// Texts of fewer than `shortest` tokens count as ones of so many, so that the number of texts has a limit, too.
pub(super) fn plan(lengths: &[usize], tokens: usize, shortest: usize) -> Vec<Together> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&text| std::cmp::Reverse(lengths[text]));
    let mut batches: Vec<Together> = Vec::new();
    let (mut longest, mut own) = (0, 0);
    for text in order {
        let length = lengths[text];
        if let Some(batch) = batches.last_mut() {
            let all = (batch.len() + 1) * longest;
            let counted = (batch.len() + 1) * longest.max(shortest);
            if counted <= tokens && (all - own - length) * FILLED < all {
                batch.push(text);
                own += length;
                continue;
            }
        }
        batches.push(vec![text]);
        (longest, own) = (length, length);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_filled_up_and_each_text_has_its_place() {
        let lengths: Vec<usize> = (0..1000).map(|i| 1 + i * 7919 % 97 + i % 5 * (i % 61)).collect();
        let batches = plan(&lengths, 512, 8);
        let mut seen = vec![false; lengths.len()];
        for batch in &batches {
            let longest = lengths[batch[0]];
            let own: usize = batch.iter().map(|&text| lengths[text]).sum();
            let all = longest * batch.len();
            assert!(all <= 512 && batch.len() <= 64 || batch.len() == 1);
            assert!((all - own) * 10 < all, "{own} of {all}");
            batch.iter().for_each(|&text| assert!(!std::mem::replace(&mut seen[text], true)));
        }
        assert!(seen.into_iter().all(|seen| seen) && batches.len() < 300, "{}", batches.len());
        assert!(plan(&[], 512, 8).is_empty());
    }
}
