//! Networks for texts, as transformers publishes them, against what it makes of texts of different lengths.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use deepfit_cpu::{Engine, View};
use deepfit_graph::{DType, Dim, Extents, Mode, Shape, Symbol, Tensor, Tracer, gradients};
use deepfit_nn::Scope;
use deepfit_nn::losses::{CrossEntropy, cross_entropy};
use deepfit_nn::step::evaluation_graph;
use deepfit_zoo::{
    Context, LENGTHS, ModelConfig, NEXT, Network, NextTokenConfig, PooledTextConfig, Pooling, PublishedText, SECOND,
    SentencePairsConfig, TERMS, TOKENS, TextHead, build,
};
use serde_json::Value;

use crate::drawn::{uniform, write};

/// How far results may lie from those of transformers in f64, relative to the largest.
const TOLERANCE: f32 = 1e-4;

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/texts")
}

struct Golden {
    name: String,
    content: Value,
}

impl Golden {
    fn read(name: &str) -> Golden {
        let text = fs::read_to_string(goldens().join(format!("{name}.json"))).expect("a golden file");
        Golden { name: name.to_string(), content: serde_json::from_str(&text).expect("JSON") }
    }

    fn texts(&self) -> Vec<Vec<i32>> {
        serde_json::from_value(self.content["texts"].clone()).expect("texts")
    }

    fn rows(&self, key: &str) -> Vec<Vec<f32>> {
        serde_json::from_value(self.content[key].clone()).expect("rows of numbers")
    }

    /// Writes the model, perhaps with other tensors or settings, and reads it.
    fn load_with(
        &self,
        change: impl FnOnce(&mut BTreeMap<String, Vec<usize>>, &mut Value),
    ) -> deepfit_zoo::Result<PublishedText> {
        let folder = tempfile::tempdir().expect("a folder");
        let mut tensors = serde_json::from_value(self.content["tensors"].clone()).expect("names and shapes");
        let mut config = self.content["config"].clone();
        change(&mut tensors, &mut config);
        write(&folder.path().join("model.safetensors"), &tensors);
        fs::write(folder.path().join("config.json"), config.to_string()).expect("a file");
        assert!(!config.is_object() || PublishedText::is_in(folder.path()) || config["model_type"] != "bert");
        PublishedText::load(folder.path())
    }

    fn load(&self) -> PublishedText {
        self.load_with(|_, _| {}).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    fn check(&self) {
        let published = self.load();
        let texts = self.texts();
        let second: Option<Vec<i32>> = serde_json::from_value(self.content["second"].clone()).expect("places");
        let mut running = Running::of(&published, second);
        // The padding of the shorter texts is a token that means something.
        for padding in [0, 5] {
            let (hidden, logits) = running.run(&texts, padding);
            close(&self.name, &hidden.concat(), &self.rows("hidden").concat());
            let expected = self.rows("logits").concat();
            if published.head != TextHead::None && !expected.is_empty() && running.second.is_none() {
                close(&self.name, &logits, &expected);
            }
        }
    }
}

fn close(name: &str, found: &[f32], expected: &[f32]) {
    let largest = expected.iter().fold(0f32, |most, v| most.max(v.abs()));
    let error = found.iter().zip(expected).fold(0f32, |most, (a, b)| most.max((a - b).abs())) / largest;
    assert_eq!(found.len(), expected.len(), "{name}");
    assert!(largest > 0.01 && error <= TOLERANCE, "{name}: {error:.1e} of {largest}\n{found:?}\n{expected:?}");
}

/// A network that is compiled for whole texts.
struct Running {
    engine: Engine,
    network: Box<dyn Network>,
    program: deepfit_cpu::ProgramId,
    width: usize,
    /// Where the second of two texts begins.
    second: Option<Vec<i32>>,
}

impl Running {
    fn new(published: &PublishedText) -> Running {
        Running::of(published, None)
    }

    fn of(published: &PublishedText, second: Option<Vec<i32>>) -> Running {
        let scope = Scope::root();
        let network = build(&published.config, &scope).expect("a network");
        let mut engine = Engine::new(2).expect("an engine").for_inference(true);
        for (name, array) in &published.weights {
            engine.set_parameter(name, &array.shape, &array.values).expect("a parameter");
        }
        let text = network.text().expect("a network for texts");
        let sizes = text.sizes();
        let graph = evaluation_graph(|tracer| {
            let inputs: Vec<Tensor> = network.inputs().iter().map(|slot| slot.on(tracer)).collect();
            let mut context = Context::whole(&inputs[0], &inputs[1])?;
            if second.is_some() {
                let batch = [Dim::symbol(Symbol::Batch)];
                context = context.in_pairs(&tracer.input(SECOND, Shape::from(batch.to_vec()), DType::I32));
            }
            let hidden = text.hidden(&inputs[0], &context)?;
            let mut outputs = vec![("hidden".to_string(), hidden)];
            if sizes.head != TextHead::None && second.is_none() {
                outputs.push(("logits".to_string(), network.forward(&inputs)?));
            }
            for (layer, (key, value)) in context.kept().into_iter().enumerate() {
                outputs.extend([(format!("key {layer}"), key), (format!("value {layer}"), value)]);
            }
            Ok(outputs)
        })
        .expect("a graph");
        let maximum = Extents { batch: 3, sequence: sizes.positions };
        let program = engine.compile(&graph, maximum).expect("a program");
        Running { engine, network, program, width: sizes.width, second }
    }

    /// Hidden states of each text, and the logits of all.
    fn run(&mut self, texts: &[Vec<i32>], padding: i32) -> (Vec<Vec<f32>>, Vec<f32>) {
        let longest = texts.iter().map(Vec::len).max().unwrap_or(0);
        let padded = |text: &Vec<i32>| text.iter().copied().chain(std::iter::repeat(padding)).take(longest).collect();
        let tokens: Vec<i32> = texts.iter().flat_map(|text| -> Vec<i32> { padded(text) }).collect();
        let lengths: Vec<i32> = texts.iter().map(|text| text.len() as i32).collect();
        let extents = Extents { batch: texts.len(), sequence: longest };
        let mut views = vec![(TOKENS, View::I32(&tokens)), (LENGTHS, View::I32(&lengths))];
        views.extend(self.second.as_ref().map(|second| (SECOND, View::I32(second))));
        self.engine.run(self.program, extents, &views).expect("a run");
        let hidden = self.engine.output(self.program, "hidden").expect("hidden states");
        let rows = hidden.chunks(longest * self.width).zip(texts);
        let hidden = rows.map(|(row, text)| row[..text.len() * self.width].to_vec()).collect();
        (hidden, self.engine.output(self.program, "logits").unwrap_or_default().to_vec())
    }
}

macro_rules! cases {
    ($($test:ident: $($name:literal),+;)+) => {
        $(
            #[test]
            fn $test() {
                for name in [$($name),+] {
                    Golden::read(name).check();
                }
            }
        )+

        const NAMES: &[&str] = &[$($($name),+),+];
    };
}

cases! {
    berts_equal_transformers: "bert", "bert-classes", "bert-pairs", "bert-words";
    distilberts_equal_transformers: "distilbert-classes";
    robertas_equal_transformers: "roberta-classes";
    modernberts_equal_transformers: "modernbert-classes", "modernbert-biases";
    gpt2s_equal_transformers: "gpt2", "gpt2-body", "gpt2-classes";
    llamas_equal_transformers: "llama", "llama-tied", "llama-classes";
    stretched_positions_equal_transformers: "llama-linear", "llama-dynamic", "llama-yarn", "llama-yarn-plain";
    decoders_like_llama_equal_transformers: "mistral", "qwen2", "qwen3";
}

#[test]
fn no_golden_file_is_without_its_test() {
    let mut files: Vec<String> = fs::read_dir(goldens())
        .expect("a folder")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".json").map(str::to_string))
        .collect();
    files.sort();
    let mut names = NAMES.to_vec();
    names.sort_unstable();
    assert_eq!(files, names);
}

#[test]
fn a_text_that_is_continued_token_by_token_has_the_hidden_states_of_the_whole() {
    for name in ["gpt2", "llama", "llama-tied", "llama-yarn", "mistral", "qwen3"] {
        let golden = Golden::read(name);
        let published = golden.load();
        let text = golden.texts().swap_remove(0);
        let mut running = Running::new(&published);
        let whole = running.run(std::slice::from_ref(&text), 0).0.concat();
        let start = 4;
        running.run(&[text[..start].to_vec()], 0);
        let network = running.network.text().expect("a network for texts");
        let sizes = network.sizes();
        let cache = sizes.cache.expect("a decoder");
        let row = cache.heads * cache.width;
        let names: Vec<String> = (0..cache.layers).flat_map(|l| [format!("key {l}"), format!("value {l}")]).collect();
        let mut kept: Vec<Vec<f32>> =
            names.iter().map(|name| running.engine.output(running.program, name).expect("keys").to_vec()).collect();
        let graph = evaluation_graph(|tracer| {
            let steps = [Dim::fixed(1), Dim::symbol(Symbol::Sequence), cache.heads.into(), cache.width.into()];
            let past = |name: &String| tracer.input(name, Shape::from(steps.to_vec()), DType::F32);
            let past: Vec<Tensor> = names.iter().map(past).collect();
            let past = past.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
            let token = tracer.input(TOKENS, Shape::from(&[1, 1][..]), DType::I32);
            let context = Context::next(&tracer.input("position", Shape::from(&[1][..]), DType::I32), past);
            let hidden = network.hidden(&token, &context)?;
            let mut outputs = vec![("hidden".to_string(), hidden)];
            for (names, (key, value)) in names.chunks(2).zip(context.kept()) {
                outputs.extend([(format!("new {}", names[0]), key), (format!("new {}", names[1]), value)]);
            }
            Ok(outputs)
        });
        let maximum = Extents { batch: 1, sequence: sizes.positions };
        let program = running.engine.compile(&graph.expect("a graph"), maximum).expect("a program");
        for (position, token) in text.iter().enumerate().skip(start) {
            kept.iter_mut().for_each(|rows| rows.resize((position + 1) * row, 0.0));
            let (token, place) = ([*token], [position as i32]);
            let mut views = vec![(TOKENS, View::I32(&token)), ("position", View::I32(&place))];
            views.extend(names.iter().zip(&kept).map(|(name, rows)| (&name[..], View::F32(rows))));
            running.engine.run(program, Extents { batch: 1, sequence: position + 1 }, &views).expect("a run");
            let hidden = running.engine.output(program, "hidden").expect("hidden states");
            close(name, hidden, &whole[position * sizes.width..][..sizes.width]);
            for (name, rows) in names.iter().zip(&mut kept) {
                let own = running.engine.output(program, &format!("new {name}")).expect("keys");
                rows[position * row..].copy_from_slice(own);
            }
        }
    }
}

#[test]
fn the_loss_of_windows_and_its_gradients_equal_pytorchs() {
    for name in ["gpt2", "llama", "llama-tied", "llama-yarn", "qwen3"] {
        let golden = Golden::read(name);
        let published = golden.load();
        let expected = &golden.content["trained"];
        let windows: Vec<Vec<i32>> = serde_json::from_value(expected["windows"].clone()).expect("windows");
        let known: BTreeMap<String, Vec<f64>> = serde_json::from_value(expected["gradients"].clone()).expect("numbers");
        let scope = Scope::root();
        let config = ModelConfig::NextToken(NextTokenConfig { network: Box::new(published.config.clone()) });
        let network = build(&config, &scope).expect("a network");
        let declarations = scope.declarations();
        assert_eq!(declarations.len(), known.len(), "{name}");
        let tracer = Tracer::new(Mode::Train);
        let inputs: Vec<Tensor> = network.inputs().iter().map(|slot| slot.on(&tracer)).collect();
        let loss = network.forward(&inputs).and_then(|losses| Ok(losses.mean()?)).expect("a loss");
        let parameters: Vec<Tensor> =
            declarations.iter().map(|d| tracer.parameter(&d.name, &d.shape[..]).expect("a parameter")).collect();
        tracer.output("loss", &loss);
        for (d, gradient) in declarations.iter().zip(gradients(&loss, &parameters).expect("gradients")) {
            tracer.output(&format!("gradient of {}", d.name), &gradient);
        }
        let length = windows[0].len() - 1;
        let extents = Extents { batch: windows.len(), sequence: length };
        let mut engine = Engine::new(2).expect("an engine");
        let program = engine.compile(&tracer.graph(), extents).expect("a program");
        for (name, array) in &published.weights {
            engine.set_parameter(name, &array.shape, &array.values).expect("a parameter");
        }
        let part = |from: usize| windows.iter().flat_map(|window| window[from..][..length].to_vec()).collect();
        let (tokens, next): (Vec<i32>, Vec<i32>) = (part(0), part(1));
        let lengths = vec![length as i32; windows.len()];
        let views = [(TOKENS, View::I32(&tokens)), (LENGTHS, View::I32(&lengths)), (NEXT, View::I32(&next))];
        engine.run(program, extents, &views).expect("a run");
        let (loss, theirs) = (engine.output(program, "loss").expect("a loss")[0], expected["loss"].as_f64());
        assert!((f64::from(loss) / theirs.expect("a loss") - 1.0).abs() < 1e-6, "{name}: {loss} {theirs:?}");
        for d in &declarations {
            let (theirs, numbers) = known.iter().find(|(theirs, _)| theirs.ends_with(&d.name)).expect("its gradient");
            let values = engine.output(program, &format!("gradient of {}", d.name)).expect("a gradient");
            let values: Vec<f64> = values.iter().map(|&v| f64::from(v)).collect();
            let norm = values.iter().map(|v| v * v).sum::<f64>().sqrt();
            let along = |k: usize| -> f64 {
                let name = format!("{k} {theirs}");
                let direction = uniform(&name, values.len());
                values.iter().zip(direction).map(|(value, u)| value * (2.0 * u - 1.0)).sum()
            };
            let found: Vec<f64> = std::iter::once(norm).chain((0..numbers.len() - 1).map(along)).collect();
            for (found, number) in found.iter().zip(numbers) {
                assert!((found - number).abs() < 2e-5 * numbers[0], "{name}: {theirs}: {found} {number} of {norm}");
            }
        }
    }
}

/// The vector of a text's hidden states, 1 long.
fn embedding(pooling: Pooling, hidden: &[f32], width: usize) -> Vec<f32> {
    let tokens: Vec<&[f32]> = hidden.chunks(width).collect();
    let of = |i: usize| match pooling {
        Pooling::Cls => tokens[0][i],
        Pooling::Last => tokens[tokens.len() - 1][i],
        Pooling::Mean => tokens.iter().map(|token| token[i]).sum::<f32>() / tokens.len() as f32,
        Pooling::Max => tokens.iter().map(|token| token[i]).fold(f32::MIN, f32::max),
    };
    let pooled: Vec<f32> = (0..width).map(of).collect();
    let length = pooled.iter().map(|v| v * v).sum::<f32>().sqrt();
    pooled.iter().map(|v| v / length).collect()
}

/// Two texts that stand side by side in a row are embedded as each by itself, whatever stands beside or behind them.
#[test]
fn texts_side_by_side_see_nothing_of_each_other() {
    for name in ["bert", "distilbert-classes", "roberta-classes", "modernbert-classes", "gpt2-body", "llama", "mistral"]
    {
        let (golden, published) = (Golden::read(name), Golden::read(name).load());
        let texts = golden.texts();
        let mut alone = Running::new(&published);
        let (width, hidden) = (alone.width, alone.run(&texts, 0).0);
        for pooling in [Pooling::Mean, Pooling::Cls, Pooling::Last, Pooling::Max] {
            let backbone = Box::new(published.config.clone());
            let config = ModelConfig::SentencePairs(SentencePairsConfig { backbone, pooling });
            let scope = Scope::root();
            let network = build(&config, &scope).expect("a network");
            let mut engine = Engine::new(2).expect("an engine").for_inference(true);
            for d in scope.declarations() {
                let array = published.weights.iter().find(|(name, _)| **name == d.name).expect("a parameter").1;
                engine.set_parameter(&d.name, &array.shape, &array.values).expect("a parameter");
            }
            let graph = evaluation_graph(|tracer| {
                let inputs: Vec<Tensor> = network.inputs().iter().map(|slot| slot.on(tracer)).collect();
                Ok(vec![("both".to_string(), network.forward(&inputs)?)])
            })
            .expect("a graph");
            let pairs: Vec<[usize; 2]> = (0..texts.len()).map(|i| [i, (i + 1) % texts.len()]).collect();
            let sequence = pairs.iter().map(|pair| pair.map(|i| texts[i].len()).iter().sum()).max().unwrap_or(0);
            let extents = Extents { batch: pairs.len(), sequence };
            let program = engine.compile(&graph, extents).expect("a program");
            let (mut tokens, mut positions, mut lengths, mut second) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            for (row, pair) in pairs.iter().enumerate() {
                for &text in pair {
                    tokens.extend(&texts[text]);
                    positions.extend(0..texts[text].len() as i32);
                }
                lengths.push((tokens.len() - row * sequence) as i32);
                second.push(texts[pair[0]].len() as i32);
                tokens.resize((row + 1) * sequence, 3);
                positions.resize((row + 1) * sequence, 0);
            }
            let views = [
                (TOKENS, View::I32(&tokens)),
                ("positions", View::I32(&positions)),
                (LENGTHS, View::I32(&lengths)),
                (SECOND, View::I32(&second)),
            ];
            engine.run(program, extents, &views).expect("a run");
            let found = engine.output(program, "both").expect("embeddings");
            let of = |&text: &usize| embedding(pooling, &hidden[text], width);
            close(&format!("{name} {pooling:?}"), found, &pairs.iter().flatten().flat_map(of).collect::<Vec<f32>>());
        }
    }
}

/// The loss of some windows of tokens and its gradients, by the network that learns or from all logits at once.
fn loss_and_gradients(published: &PublishedText, in_parts: bool) -> Vec<(String, Vec<f32>)> {
    let scope = Scope::root();
    let learning = ModelConfig::NextToken(NextTokenConfig { network: Box::new(published.config.clone()) });
    let config = if in_parts { &learning } else { &published.config };
    let network = build(config, &scope).expect("a network");
    let tracer = Tracer::new(Mode::Train);
    let slots = build(&learning, &Scope::root()).expect("a network").inputs();
    let inputs: Vec<Tensor> = slots.iter().map(|slot| slot.on(&tracer)).collect();
    let losses = match network.text() {
        None => network.forward(&inputs),
        Some(text) => text
            .hidden(&inputs[0], &Context::whole(&inputs[0], &inputs[1]).expect("a context"))
            .and_then(|hidden| cross_entropy(&text.next_words(&hidden)?, &inputs[2], &CrossEntropy::default())),
    };
    let loss = losses.expect("losses").mean().expect("a loss");
    let declarations = scope.declarations();
    let parameters: Vec<Tensor> =
        declarations.iter().map(|d| tracer.parameter(&d.name, &d.shape[..]).expect("a parameter")).collect();
    tracer.output("loss", &loss);
    for (d, gradient) in declarations.iter().zip(gradients(&loss, &parameters).expect("gradients")) {
        tracer.output(&d.name, &gradient);
    }
    let extents = Extents { batch: 3, sequence: 9 };
    let mut engine = Engine::new(2).expect("an engine");
    let program = engine.compile(&tracer.graph(), extents).expect("a program");
    for (name, array) in &published.weights {
        engine.set_parameter(name, &array.shape, &array.values).expect("a parameter");
    }
    let tokens: Vec<i32> = (0..27).map(|i| i * 7919 % 20_000).collect();
    let next: Vec<i32> = (0..27).map(|i| (i + 1) * 7919 % 20_000).collect();
    let views = [(TOKENS, View::I32(&tokens)), (LENGTHS, View::I32(&[9; 3])), (NEXT, View::I32(&next))];
    engine.run(program, extents, &views).expect("a run");
    let names = std::iter::once("loss".to_string()).chain(declarations.into_iter().map(|d| d.name));
    names.map(|name| (name.clone(), engine.output(program, &name).expect("an output").to_vec())).collect()
}

#[test]
fn a_large_vocabulary_is_learned_without_all_logits_at_once() {
    for (name, tables) in
        [("gpt2", &["transformer.wte.weight"][..]), ("llama", &["model.embed_tokens.weight", "lm_head.weight"])]
    {
        let large = |tensors: &mut BTreeMap<String, Vec<usize>>, config: &mut Value| {
            config["vocab_size"] = 20_000.into();
            tables.iter().for_each(|table| tensors.get_mut(*table).expect("a table")[0] = 20_000);
        };
        let published = Golden::read(name).load_with(large).expect("a model");
        let (parts, whole) = (loss_and_gradients(&published, true), loss_and_gradients(&published, false));
        assert_eq!(parts.len(), whole.len());
        for ((name, found), (_, expected)) in parts.iter().zip(&whole) {
            let largest = expected.iter().fold(0f32, |most, v| most.max(v.abs()));
            let error = found.iter().zip(expected).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
            assert!(found.len() == expected.len() && error <= 1e-5 * largest, "{name}: {error:.1e} of {largest}");
        }
    }
}

#[test]
fn what_was_found_is_told() {
    let published = Golden::read("bert-classes").load();
    assert_eq!(published.classes, ["bad", "fair", "good"]);
    assert_eq!((&published.report.architecture[..], published.head), ("BERT", TextHead::Classes(3)));
    let published = Golden::read("bert-words").load();
    assert!(published.report.notes.iter().any(|note| note.contains("MaskedLM")), "{:?}", published.report.notes);
    // A network without what stands behind it, in a file with the beginning of names that it has beside that.
    let golden = Golden::read("bert");
    let inside = golden.load_with(|tensors, _| {
        let old = std::mem::take(tensors);
        tensors.extend(old.into_iter().map(|(name, shape)| (format!("bert.{name}"), shape)));
    });
    assert_eq!(inside.expect("a model").report.matched, golden.load().report.matched);
    // Names from TensorFlow.
    let older = golden.load_with(|tensors, _| {
        let old = std::mem::take(tensors);
        tensors.extend(old.into_iter().map(|(name, shape)| {
            (name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"), shape)
        }));
    });
    assert_eq!(older.expect("a model").report.matched, golden.load().report.matched);
}

#[test]
fn of_two_texts_the_last_layer_sees_both_how_far_they_are_apart_and_their_product() {
    let golden = Golden::read("bert-pairs");
    let (published, texts) = (golden.load(), golden.texts());
    let second: Vec<i32> = serde_json::from_value(golden.content["second"].clone()).expect("places");
    let hidden = golden.rows("hidden");
    for (pooling, normalise) in [(Pooling::Mean, false), (Pooling::Mean, true), (Pooling::Max, false)] {
        let scope = Scope::root();
        let config = PooledTextConfig {
            backbone: Box::new(published.config.clone().with_text_head(TextHead::None)),
            pooling,
            normalise,
            pairs: true,
            terms: 2,
            dropout: 0.0,
            outputs: 1,
        };
        let network = build(&ModelConfig::PooledText(config), &scope).expect("a network");
        let mut engine = Engine::new(2).expect("an engine");
        for declaration in scope.declarations() {
            match published.weights.get(&declaration.name) {
                Some(array) => engine.set_parameter(&declaration.name, &array.shape, &array.values),
                None => engine.set_parameter(&declaration.name, &declaration.shape, &vec![0.0; declaration.elements()]),
            }
            .expect("a parameter");
        }
        let graph = evaluation_graph(|tracer| {
            let inputs: Vec<Tensor> = network.inputs().iter().map(|slot| slot.on(tracer)).collect();
            Ok(vec![("features".to_string(), network.features(&inputs)?)])
        });
        let extents = Extents { batch: texts.len(), sequence: 11 };
        let program = engine.compile(&graph.expect("a graph"), extents).expect("a program");
        let padded = |text: &Vec<i32>| text.iter().copied().chain(std::iter::repeat(7)).take(11).collect::<Vec<i32>>();
        let tokens: Vec<i32> = texts.iter().flat_map(padded).collect();
        let lengths: Vec<i32> = texts.iter().map(|text| text.len() as i32).collect();
        let terms: Vec<f32> = (0..6).map(|i| i as f32).collect();
        let views = [
            (TOKENS, View::I32(&tokens)),
            (LENGTHS, View::I32(&lengths)),
            (SECOND, View::I32(&second)),
            (TERMS, View::F32(&terms)),
        ];
        engine.run(program, extents, &views).expect("a run");
        let made = engine.output(program, "features").expect("features");
        let width = 35;
        // Token by token, in the order of the definition.
        let one = |states: &[f32]| -> Vec<f32> {
            let count = states.len() / width;
            let of = |i: usize| (0..count).map(move |token| states[token * width + i]);
            let mut one: Vec<f32> = (0..width)
                .map(|i| match (pooling, count) {
                    (_, 0) => 0.0,
                    (Pooling::Max, _) => of(i).fold(f32::MIN, f32::max),
                    _ => of(i).sum::<f32>() / count as f32,
                })
                .collect();
            if normalise {
                let length = one.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-6);
                one.iter_mut().for_each(|x| *x /= length);
            }
            one
        };
        for (row, (hidden, &place)) in hidden.iter().zip(&second).enumerate() {
            let (u, v) = (one(&hidden[..place as usize * width]), one(&hidden[place as usize * width..]));
            let apart = u.iter().zip(&v).map(|(a, b)| (a - b).abs());
            let product = u.iter().zip(&v).map(|(a, b)| a * b);
            let expected: Vec<f32> = u.iter().chain(&v).copied().chain(apart).chain(product).collect();
            let found = &made[row * (4 * width + 2)..][..4 * width + 2];
            close("bert-pairs", &found[..4 * width], &expected);
            assert_eq!(&found[4 * width..], &terms[row * 2..][..2]);
        }
    }
}

/// The error for a model with other tensors or settings.
fn refused(name: &str, change: impl FnOnce(&mut BTreeMap<String, Vec<usize>>, &mut Value)) -> String {
    Golden::read(name).load_with(change).expect_err("an error").to_string()
}

#[test]
fn what_does_not_fit_is_named() {
    let told = refused("bert", |_, config| config["vocab_size"] = 99.into());
    assert!(
        told.contains("`embeddings.word_embeddings.weight` is [101, 35] in the file, but must be [99, 35]"),
        "{told}"
    );
    let told = refused("bert", |_, config| config["num_hidden_layers"] = 1.into());
    assert!(told.contains("`encoder.layer.1.") && told.contains("no place"), "{told}");
    let told = refused("bert", |_, config| config["num_hidden_layers"] = 3.into());
    assert!(told.contains("`bert.encoder.layer.2.") && told.contains("missing"), "{told}");
    let told = refused("bert", |_, config| config["num_attention_heads"] = 4.into());
    assert!(told.contains("config.json") && told.contains("4, which must divide the width 35"), "{told}");
    let told = refused("bert", |_, config| config["hidden_size"] = "many".into());
    assert!(told.contains("config.json") && told.contains("`hidden_size`, which must be a whole number"), "{told}");
    let told = refused("bert", |_, config| config["hidden_act"] = "snake".into());
    assert!(told.contains("the activation \"snake\""), "{told}");
    let told = refused("bert", |_, config| config["model_type"] = "t5".into());
    assert!(told.contains("the `model_type` t5; known are BERT"), "{told}");
    let told = refused("llama", |_, config| config["rope_parameters"]["rope_type"] = "longrope".into());
    assert!(told.contains("'longrope', which are not read"), "{told}");
    let told = refused("llama-yarn", |_, config| config["rope_parameters"]["factor"] = (-2.0).into());
    assert!(told.contains("rope_scaling") && told.contains("must be above 0"), "{told}");
    let told = refused("llama-yarn", |_, config| config["rope_parameters"]["beta_fast"] = 0.1.into());
    assert!(told.contains("rope_scaling") && told.contains("ascend"), "{told}");
    let told = refused("qwen3", |_, config| config["use_sliding_window"] = true.into());
    assert!(told.contains("use_sliding_window"), "{told}");
    let told = refused("llama", |tensors, _| _ = tensors.remove("model.norm.weight"));
    assert!(told.contains("`model.norm.weight` [36] is missing"), "{told}");
    let told = refused("gpt2", |_, config| config["n_layer"] = 10_000_000_000_u64.into());
    assert!(told.contains("`n_layer`, which must be a whole number"), "{told}");
}
