//! From inputs to explanations: opens the model and the inputs, explains each, and tests what it found.

mod of_tables;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deepfit_data::{Loader, LoaderOptions, Opened, Passage, Preprocessor, Source};
use deepfit_train::{PredictionValue, training_rows};
use deepfit_zoo::TERMS;

use crate::counterfactual::Counterfactual;
use crate::error::{ExplainError, Result};
use crate::explanation::{Attributions, Details, Explanation, Shown};
use crate::faithfulness::{self, Faithfulness, random_orders};
use crate::grad_cam::{self, grad_cam, last_convolution};
use crate::gradients::{integrated, smooth};
use crate::method::{Kind, Method};
use crate::neighbours::{self, Known};
use crate::pictures::{Cells, Picture, is_picture};
use crate::removal::{Removal, leave_one_out, ranked};
use crate::rollout::{self, rollout};
use crate::rows::Rows;
use crate::sequences::{self, Told};
use crate::subject::{Subject, Unit};
use crate::texts::{self, OfText, Reading};

/// Rows of the training data that stand in for columns that are taken away.
const BACKGROUND: usize = 100;
/// How often each column is shuffled.
const SHUFFLES: u64 = 5;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// How to explain; without, by what suits the model.
    pub method: Option<Method>,
    /// The class to explain; without, the one that is predicted. Of a counterfactual the class to reach.
    pub class: Option<String>,
    /// The layer that Grad-CAM looks at; without, the last convolutional one.
    pub layer: Option<String>,
    /// Of labelled words, those whose labels are explained, by their places in the sentence; without, the first of each that has
    /// a label, or the one that is nearest to the class.
    pub places: Option<Vec<usize>>,
}

/// Where inputs come from.
pub enum Inputs<'a> {
    /// Files and folders.
    Paths(&'a [PathBuf]),
    /// A table or lines of text that are read, and a name for them.
    Reader(&'a mut dyn Read, &'a str),
}

/// Takes each explanation as it comes.
pub type Each<'a> = &'a mut dyn FnMut(Explanation) -> Result<()>;

/// A model whose predictions are explained.
pub struct Explainer {
    pub(crate) subject: Subject,
    /// What is told of texts, if that is more than one thing for a whole input.
    told: Option<Arc<Told>>,
    run: PathBuf,
    pub(crate) threads: usize,
    pub(crate) notes: Vec<String>,
    background: Option<(Rows, String)>,
    known: Option<Known>,
}

/// One input.
struct Given<'a> {
    name: String,
    row: Rows,
    /// Of a table, its cells.
    source: &'a Arc<dyn Source>,
    number: u32,
    passage: Option<Passage>,
}

/// What was decided about one input before it is explained.
struct Decided {
    prediction: PredictionValue,
    predicted: usize,
    output: usize,
    class: Option<(String, f64)>,
}

impl Explainer {
    /// Opens a run folder, a model folder, or a published model.
    ///
    /// # Errors
    /// If it holds no model, a damaged one, or one that decides nothing.
    pub fn open(path: &Path, threads: usize) -> Result<Explainer> {
        let (subject, told, notes) = sequences::open(path, threads)?;
        let told = told.map(Arc::new);
        Ok(Explainer { subject, told, run: path.to_path_buf(), threads, notes, background: None, known: None })
    }

    /// What is worth knowing so far, one sentence each. Each is given once.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Where the model is.
    pub(crate) fn run(&self) -> &Path {
        &self.run
    }

    /// What the model takes.
    pub fn kind(&self) -> Kind {
        if let Some(told) = &self.told {
            return told.kind();
        }
        match self.subject.preprocessor() {
            Preprocessor::Image(_) => Kind::Images,
            Preprocessor::Table(_) => Kind::Tables,
            Preprocessor::Text(_) => Kind::Texts,
        }
    }

    /// Whether it is a classical model, which has no layers: no features, gradients or weights that could be shuffled.
    pub fn is_classical(&self) -> bool {
        self.subject.classical().is_some()
    }

    /// The method that is used if none is asked for: for pictures Grad-CAM, which costs no more than a prediction, where the
    /// network pools what its last convolution sees, else integrated gradients, which ask nothing of a network; for tables Shapley values, which leave nothing unexplained and share what
    /// columns do together; for texts leaving out words, which needs no baseline: any text with a word less is a text.
    pub fn default_method(&self) -> Method {
        match self.kind() {
            Kind::Images if self.is_classical() => Method::Occlusion,
            Kind::Images if grad_cam::pools(&self.subject).is_ok_and(|pools| pools) => Method::GradCam,
            Kind::Images => Method::IntegratedGradients,
            Kind::Tables => Method::Shapley,
            Kind::Texts | Kind::Words | Kind::Continued | Kind::Pairs => Method::Occlusion,
        }
    }

    /// Explains inputs, in order, and gives each explanation to `each`. Returns the inputs that failed, by their names, with
    /// the reason.
    ///
    /// # Errors
    /// If what is asked for does not fit the model, the inputs cannot be opened or are of another kind, or `each` fails.
    pub fn explain(&mut self, inputs: Inputs<'_>, request: &Request, each: Each<'_>) -> Result<Vec<(String, String)>> {
        let kind = self.kind();
        let method = request.method.unwrap_or_else(|| self.default_method());
        self.require_method(method, kind)?;
        if let Some(classical) = self.subject.classical() {
            classical.require_a_view(self.subject.task())?;
        }
        self.require_fit(method, request)?;
        let empty = |path: &&PathBuf| std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() == 0);
        let mut hollow: Vec<(String, String)> = Vec::new();
        if let (Inputs::Paths(paths), false) = (&inputs, matches!(kind, Kind::Images | Kind::Tables)) {
            let found = paths.iter().filter(empty);
            hollow.extend(found.map(|path| (path.display().to_string(), "holds no text".to_string())));
            if let (Some((path, why)), true) = (hollow.first(), hollow.len() == paths.len()) {
                return Err(ExplainError::asked(format!("'{path}' {why}")));
            }
        }
        if let Some(told) = self.told.clone() {
            return self.explain_sequences(&told, inputs, method, request, each);
        }
        if method == Method::Permutation {
            let explanation = self.permutation(inputs)?;
            each(explanation)?;
            return Ok(Vec::new());
        }
        let preprocessor = self.subject.preprocessor().clone();
        let (opened, passages) = match (&preprocessor, inputs) {
            (Preprocessor::Text(text), Inputs::Paths(paths)) => {
                let (opened, passages) = text.open_texts(paths, self.threads)?;
                if let ([], [path, ..]) = (&passages[..], paths) {
                    return Err(ExplainError::asked(format!("'{}' holds no text", path.display())));
                }
                (opened, Some(passages))
            }
            (Preprocessor::Text(text), Inputs::Reader(reader, name)) => {
                let mut all = String::new();
                let unreadable = |e: std::io::Error| ExplainError::asked(format!("{name} cannot be read as text: {e}"));
                reader.read_to_string(&mut all).map_err(unreadable)?;
                let lines = all.lines().filter(|line| !line.trim().is_empty());
                let passages: Vec<Passage> = lines.map(|line| Passage::from(line.to_string())).collect();
                if passages.is_empty() {
                    return Err(ExplainError::asked(format!("{name} holds no text")));
                }
                (text.open_passages(passages.clone(), self.threads)?, Some(passages))
            }
            (_, Inputs::Paths(paths)) => (preprocessor.open_inputs(paths, self.threads)?, None),
            (_, Inputs::Reader(reader, name)) => (preprocessor.read_inputs(reader, name)?, None),
        };
        let mut opened = opened;
        self.notes.append(&mut opened.notes);
        let mut failed = std::mem::take(&mut opened.failed);
        failed.append(&mut hollow);
        failed.extend(self.each(&opened, passages.as_deref(), method, request, each)?);
        Ok(failed)
    }

    /// Explains rows of data that has been opened, [`Opened::rows`], by the method that suits the model, and gives each
    /// explanation to `each`; of texts with what they are, for all rows of the data. Returns the rows that failed.
    ///
    /// # Errors
    /// As [`Explainer::explain`].
    pub fn explain_rows(
        &mut self,
        opened: &Opened,
        passages: Option<&[Passage]>,
        request: &Request,
        each: Each<'_>,
    ) -> Result<Vec<(String, String)>> {
        let method = request.method.unwrap_or_else(|| self.default_method());
        self.require_method(method, self.kind())?;
        self.require_fit(method, request)?;
        self.each(opened, passages, method, request, each)
    }

    /// How much worse rows of a table that has been opened are predicted when a column is shuffled.
    ///
    /// # Errors
    /// If the model takes no tables, or cannot run.
    pub fn importance(&mut self, opened: &Opened, name: &str) -> Result<Explanation> {
        let table = self.table()?;
        self.importance_of(&table, opened, name)
    }

    /// What the last layer sees of rows of data that has been opened, in their order.
    ///
    /// # Errors
    /// If a row cannot be read, or the network knows no features.
    pub fn features(&mut self, opened: &Opened) -> Result<Vec<(u32, Vec<f32>)>> {
        neighbours::all_features(&mut self.subject, opened)
    }

    /// Texts that are there already, as [`Explainer::explain_rows`] wants them.
    ///
    /// # Errors
    /// If the model takes no texts, or two where one is given.
    pub fn open_passages(&self, passages: Vec<Passage>) -> Result<Opened> {
        Ok(texts::preprocessor(&self.subject)?.open_passages(passages, self.threads)?)
    }

    /// How new data is prepared for the model.
    pub fn preprocessor(&self) -> &Preprocessor {
        self.subject.preprocessor()
    }

    fn each(
        &mut self,
        opened: &Opened,
        passages: Option<&[Passage]>,
        method: Method,
        request: &Request,
        each: Each<'_>,
    ) -> Result<Vec<(String, String)>> {
        let mut failed = Vec::new();
        if opened.rows.iter().any(|&row| opened.source.is_cut(row)) {
            let note = "the network sees the middle of pictures that are longer along one side than it takes them: their edges along \
                        that side are cut away, and what lies there is neither seen nor explained";
            // Once, however often these pictures are explained.
            if !self.notes.iter().any(|known| known == note) {
                self.notes.push(note.to_string());
            }
        }
        for &number in &opened.rows {
            let name = opened.names[number as usize].clone();
            // One at a time, in the order of the inputs.
            let mut loader = Loader::new(opened.source.clone(), vec![number], LoaderOptions::evaluate(1, 0))?;
            let Some(batch) = loader.next()? else {
                failed.extend(loader.failures().map(|failure| (failure.name.clone(), failure.reason.clone())));
                continue;
            };
            let passage = passages.and_then(|all| all.get(number as usize)).cloned();
            let given = Given { name, row: Rows::of(&batch), source: &opened.source, number, passage };
            drop(batch);
            each(self.one(given, method, request)?)?;
        }
        Ok(failed)
    }

    /// The method must be one for what the model takes, and for what it is.
    fn require_method(&self, method: Method, kind: Kind) -> Result<()> {
        self.subject.classical().map_or_else(|| method.require(kind), |classical| classical.require(method, kind))
    }

    /// What can be told to be wrong before an input is read.
    fn require_fit(&mut self, method: Method, request: &Request) -> Result<()> {
        // Names of labels and tokens are looked for by whoever tells them.
        let any = self.told.as_ref().is_some_and(|told| told.kind() != Kind::Pairs);
        if let Some(class) = request.class.as_ref().filter(|_| !any) {
            self.subject.class(class)?;
        }
        // Of labelled words a class says which word is explained.
        let of_none = match method {
            Method::Permutation | Method::Neighbours => true,
            Method::AttentionRollout => self.kind() != Kind::Words,
            _ => false,
        };
        if request.class.is_some() && of_none {
            return Err(ExplainError::asked(format!("--class has no meaning for {method}, which is of no class")));
        }
        if let (Some(layer), true) = (&request.layer, method != Method::GradCam) {
            return Err(ExplainError::asked(format!("--layer '{layer}' is for grad-cam, and not for {method}")));
        }
        if method == Method::GradCam && !grad_cam::pools(&self.subject)? {
            let note = "grad-cam: this network makes a row of numbers of the pixels of its last convolution, each with weights of its \
                        own, so that each place is weighted by its own gradient rather than by a channel's mean (HiResCAM)";
            self.notes.push(note.to_string());
        }
        if method == Method::AttentionRollout {
            rollout::require(&self.subject, self.kind())?;
            if self.subject.names().iter().any(|name| name == TERMS) {
                let note = "attention-rollout: the last layer also sees weighted words or columns beside what it reads of the \
                            tokens, of which attention tells nothing";
                self.notes.push(note.to_string());
            }
        }
        if method == Method::Counterfactual && !self.subject.task().is_classification() {
            let problem = "a counterfactual changes a class, and the model predicts a number; use --method shapley";
            return Err(ExplainError::asked(problem));
        }
        if method == Method::Neighbours && !self.run.join("settings.toml").is_file() {
            let problem = "neighbours are training examples, which only a run folder tells; a model by itself has none";
            return Err(ExplainError::asked(problem));
        }
        Ok(())
    }

    fn decide(&mut self, row: &Rows, request: &Request) -> Result<Decided> {
        let logits = self.subject.logits(row)?.swap_remove(0);
        let (prediction, predicted) = self.subject.prediction(&logits);
        let output = request.class.as_ref().map_or(Ok(predicted), |class| self.subject.class(class))?;
        let classes = self.subject.task().classes();
        let class = classes.get(output).map(|name| (name.clone(), self.subject.probabilities(&logits)[output]));
        Ok(Decided { prediction, predicted, output, class })
    }

    fn one(&mut self, given: Given<'_>, method: Method, request: &Request) -> Result<Explanation> {
        let decided = self.decide(&given.row, request)?;
        let explained = match (self.kind(), method) {
            (_, Method::Neighbours) => self.neighbours(&given)?,
            (Kind::Images, _) => self.picture(&given, method, &decided, request)?,
            (Kind::Tables, _) => self.row_of_table(&given, method, &decided, request)?,
            (_, _) => self.text(&given, method, &decided)?,
        };
        let Explained { attributions, unit, faithfulness, completeness_error, details } = explained;
        let (prediction, class) = (Some(decided.prediction), decided.class);
        let input = given.name;
        Ok(Explanation {
            input,
            prediction,
            class,
            method,
            unit,
            attributions,
            faithfulness,
            completeness_error,
            details,
        })
    }

    /// Tests attributions of parts.
    pub(crate) fn test(removal: &mut dyn Removal, attributions: &[f64], unit: Unit) -> Result<Faithfulness> {
        let of_value = unit == Unit::Value;
        // A value may be moved in both directions: what moves it most comes first.
        let sizes: Vec<f64> = attributions.iter().map(|&x| if of_value { x.abs() } else { x }).collect();
        let order = ranked(&sizes);
        let random = random_orders(&order);
        faithfulness::test(removal, order, random, of_value)
    }

    fn picture(
        &mut self,
        given: &Given<'_>,
        method: Method,
        decided: &Decided,
        request: &Request,
    ) -> Result<Explained> {
        let Some(config) = self.subject.image().cloned().filter(|_| is_picture(&self.subject.network().inputs()))
        else {
            return Err(ExplainError::asked(
                "the network takes other inputs beside pictures, which is not explained here",
            ));
        };
        let picture = Picture::of(given.row.clone(), &config);
        let (output, subject) = (decided.output, &mut self.subject);
        let (mut completeness_error, mut layer) = (None, None);
        let map = match method {
            Method::GradCam => {
                let named = request.layer.clone().map_or_else(|| last_convolution(subject), Ok)?;
                let map = grad_cam(subject, &picture.row, &named, output)?;
                layer = Some(named);
                map.resized(picture.height, picture.width)
            }
            Method::IntegratedGradients => {
                let found = integrated(subject, &picture.row, &picture.baseline, output)?;
                completeness_error = Some(found.completeness_error);
                picture.over_channels(&found.inputs[0], |x| x)
            }
            Method::SmoothGrad => {
                let gradients = smooth(subject, &picture.row, 0, output)?;
                picture.over_channels(&picture.from_mean(&gradients), f64::abs)
            }
            _ => picture.occlusion(subject, output)?,
        };
        let unit = subject.unit();
        // A value may be moved in both directions: what moves it most comes first.
        let of_value = unit == Unit::Value;
        let by_cell = picture.by_cell(&map).into_iter().map(|x| if of_value { x.abs() } else { x }).collect::<Vec<_>>();
        let random = picture.moved(&by_cell).iter().map(|moved| ranked(moved)).collect();
        let mut cells = Cells { subject, picture: &picture, output, unit };
        let faithfulness = Some(faithfulness::test(&mut cells, ranked(&by_cell), random, of_value)?);
        let details = Details { layer, picture: Some(picture), ..Details::default() };
        let unit = self.subject.gradient_unit().name();
        Ok(Explained { attributions: Attributions::Pixels(map), unit, faithfulness, completeness_error, details })
    }

    fn text(&mut self, given: &Given<'_>, method: Method, decided: &Decided) -> Result<Explained> {
        let preprocessor = texts::preprocessor(&self.subject)?;
        let passage = given.passage.clone().unwrap_or_default();
        let reading = Reading::of(&preprocessor, passage, given.row.clone());
        let output = decided.output;
        let (mut completeness_error, mut others) = (None, Vec::new());
        let tested = self.subject.unit();
        // Gradients and what is left out are told in the same unit.
        let unit = self.subject.gradient_unit();
        let inputs = match method {
            Method::IntegratedGradients => {
                let found = integrated(&mut self.subject, &given.row, &reading.baseline(), output)?;
                completeness_error = Some(found.completeness_error);
                Some(found.inputs)
            }
            Method::AttentionRollout => Some(rollout(&mut self.subject, &given.row)?),
            _ => None,
        };
        let values = match inputs {
            Some(inputs) => {
                let shares = reading.shares(self.subject.names(), &inputs);
                others = shares.others;
                [shares.words, shares.columns].concat()
            }
            None => leave_one_out(&mut OfText { subject: &mut self.subject, reading: &reading, output, unit })?,
        };
        if values.is_empty() {
            // Of an empty text, what stands around every text is no share of it.
            others.clear();
        }
        let mut of_text = OfText { subject: &mut self.subject, reading: &reading, output, unit: tested };
        let faithfulness = Some(Self::test(&mut of_text, &values, tested)?);
        let words = (0..reading.words.len()).map(|word| Shown {
            written: reading.written(word).to_string(),
            value: values[word],
            side: reading.side(word),
        });
        let details = Details { words: words.collect(), ..Details::default() };
        // Of columns beside the text attention tells nothing, which is not that they count for nothing.
        let by_attention = method == Method::AttentionRollout;
        let told = if by_attention { reading.words.len() } else { values.len() };
        let named = reading.names().into_iter().zip(values).take(told).chain(others).collect();
        Ok(Explained {
            attributions: Attributions::Named(named),
            unit: if by_attention { rollout::UNIT } else { unit.name() },
            faithfulness,
            completeness_error,
            details,
        })
    }

    fn neighbours(&mut self, given: &Given<'_>) -> Result<Explained> {
        if self.known.is_none() {
            let training = training_rows(&self.run, self.subject.preprocessor(), self.threads)?;
            let missing = || ExplainError::asked("neighbours are training examples, which only a run folder tells");
            self.known = Some(Known::of(&mut self.subject, &training.ok_or_else(missing)?)?);
        }
        let Some(known) = &self.known else { return Err(ExplainError::asked("there are no training examples")) };
        let like = known.nearest(&mut self.subject, &given.name, &given.row)?;
        let logits = self.subject.logits(&given.row)?.swap_remove(0);
        let share = match self.subject.prediction(&logits).0 {
            PredictionValue::Class(class) => known.share(&class),
            _ => 0.0,
        };
        let named = like.iter().map(|one| (one.input.clone(), f64::from(one.similarity))).collect();
        Ok(Explained {
            attributions: Attributions::Named(named),
            unit: Unit::Similarity.name(),
            faithfulness: None,
            completeness_error: None,
            details: Details { neighbours: Some((like, share)), ..Details::default() },
        })
    }
}

/// What a method found.
struct Explained {
    attributions: Attributions,
    unit: &'static str,
    faithfulness: Option<Faithfulness>,
    completeness_error: Option<f64>,
    details: Details,
}

/// A change with how it did when it was tested.
type Tested = (Counterfactual, Faithfulness);
