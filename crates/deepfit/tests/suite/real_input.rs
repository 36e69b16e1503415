//! The examples on real texts and pictures learn what they should.

#[path = "../../examples/autoencoder.rs"]
mod autoencoder;
#[path = "../../examples/bytes.rs"]
mod bytes;
#[path = "../../examples/sentences.rs"]
mod sentences;

const TEXT: &[u8] = include_bytes!("../../../../examples/reference.txt");

/// Bits per byte for whoever knows how often each byte occurs in the whole text, and nothing else.
fn bits_by_frequency() -> f64 {
    let mut counts = [0.0f64; 256];
    TEXT.iter().for_each(|&byte| counts[usize::from(byte)] += 1.0);
    let shares = counts.iter().filter(|&&count| count > 0.0).map(|count| count / TEXT.len() as f64);
    shares.map(|share| -share * share.log2()).sum()
}

#[test]
fn an_lstm_predicts_bytes_better_than_their_frequencies() {
    let bits = bytes::run(TEXT, 120, None).unwrap();
    assert!(bits < bits_by_frequency() - 0.5, "{bits} and {}", bits_by_frequency());
}

#[test]
fn a_text_too_short_for_a_window_is_refused() {
    assert!(bytes::run(&TEXT[..1000], 1, None).unwrap_err().to_string().contains("too short"));
}

#[test]
fn an_auto_encoder_keeps_more_of_a_digit_than_principal_components() {
    let [network, components, mean] = autoencoder::run().unwrap();
    assert!(network < 0.7 * components && components < 0.5 * mean, "{network}, {components} and {mean}");
}

#[test]
fn a_transformer_finds_the_subjects_of_sentences() {
    // Chance is a quarter; logistic regression on the same words finds four fifths.
    let share = sentences::run().unwrap();
    assert!(share > 0.7, "{share}");
}
