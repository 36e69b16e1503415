//! Tokenizers that are learned from texts.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::wordpiece::WordPiece as WordPieceDecoder;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::wordlevel::{WordLevel, WordLevelTrainer};
use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainer};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    AddedToken, DecoderWrapper, ModelWrapper, PreTokenizerWrapper, SplitDelimiterBehavior, Tokenizer as Inner,
};

use super::tokenizer::Tokenizer;
use crate::error::{Error, Result};

/// What a tokenizer that is learned from texts cuts them into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tokens {
    /// Bytes, and pairs of tokens that stand together often, again and again: byte pair encoding (Sennrich et al., 2016).
    #[default]
    Bpe,
    /// Bytes alone.
    Bytes,
    /// Characters; one that no text has from which was learned is unknown.
    Characters,
    /// Words and their parts, with white space between words (Schuster and Nakajima, 2012; as in BERT).
    Wordpiece,
}

/// Number of bytes that there are.
const BYTES: usize = 256;
/// Stands for what is unknown where characters or words are tokens; the first of all tokens.
const UNKNOWN: &str = "[UNK]";
/// Stands for nothing; the first token where bytes are tokens, so that every text has some.
const NOTHING: &str = "<|endoftext|>";

impl Tokenizer {
    /// Learns tokens of a kind from texts, no more than so many.
    ///
    /// # Errors
    /// If the vocabulary is too small for all bytes, or for a character.
    pub fn train<'a>(
        tokens: Tokens,
        texts: impl Iterator<Item = &'a str> + Send,
        vocabulary: usize,
    ) -> Result<Tokenizer> {
        let path = PathBuf::from("the trained tokenizer");
        let wrong = |error: tokenizers::Error| Error::Tokenizer { path: path.clone(), problem: error.to_string() };
        let least = match tokens {
            Tokens::Bpe => BYTES,
            Tokens::Bytes => 0,
            Tokens::Characters | Tokens::Wordpiece => 1,
        };
        if vocabulary <= least {
            let problem = match tokens {
                Tokens::Bpe => format!("is {vocabulary}; it must be more than {least}, the number of bytes and one"),
                _ => format!("is {vocabulary}; it must be more than {least}, which is needed for what is unknown"),
            };
            return Err(Error::Setting { setting: "vocabulary", problem });
        }
        let special = |token: &str| vec![AddedToken::from(token.to_string(), true)];
        let (mut inner, trainer) = match tokens {
            Tokens::Bpe | Tokens::Bytes => {
                let bytes = ByteLevel::new(false, true, true);
                let mut inner = Inner::new(BPE::default());
                inner.with_pre_tokenizer(Some(PreTokenizerWrapper::ByteLevel(bytes)));
                inner.with_decoder(Some(DecoderWrapper::ByteLevel(bytes)));
                let trainer = BpeTrainer::builder()
                    .vocab_size(if tokens == Tokens::Bytes { BYTES + 1 } else { vocabulary })
                    .show_progress(false)
                    .min_frequency(2)
                    .special_tokens(special(NOTHING))
                    .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
                    .build();
                (inner, TrainerWrapper::BpeTrainer(trainer))
            }
            Tokens::Characters => {
                let model = WordLevel::builder().unk_token(UNKNOWN.to_string()).build().map_err(wrong)?;
                let mut inner = Inner::new(ModelWrapper::WordLevel(model));
                let each = SplitPattern::Regex(r"[\s\S]".to_string());
                let each = Split::new(each, SplitDelimiterBehavior::Isolated, false).map_err(wrong)?;
                inner.with_pre_tokenizer(Some(PreTokenizerWrapper::Split(each)));
                inner.with_decoder(Some(DecoderWrapper::Fuse(Fuse::new())));
                let mut trainer = WordLevelTrainer::default();
                (trainer.vocab_size, trainer.show_progress) = (vocabulary, false);
                trainer.special_tokens = special(UNKNOWN);
                (inner, TrainerWrapper::WordLevelTrainer(trainer))
            }
            Tokens::Wordpiece => {
                let mut inner = Inner::new(ModelWrapper::WordPiece(WordPiece::default()));
                inner.with_pre_tokenizer(Some(PreTokenizerWrapper::BertPreTokenizer(BertPreTokenizer)));
                inner.with_decoder(Some(DecoderWrapper::WordPiece(WordPieceDecoder::new("##".to_string(), true))));
                let trainer = WordPieceTrainer::builder()
                    .vocab_size(vocabulary)
                    .show_progress(false)
                    .min_frequency(2)
                    .special_tokens(special(UNKNOWN))
                    .build();
                (inner, TrainerWrapper::WordPieceTrainer(trainer))
            }
        };
        let mut trainer = trainer;
        inner.train(&mut trainer, texts).map_err(wrong)?;
        Ok(Tokenizer::of(inner, path))
    }
}
