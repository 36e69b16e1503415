//! `deepfit explain`: why a network decides as it does.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueHint};
use deepfit_explain::{ExplainError, Explainer, Explanation, FilterRequest, Inputs, LayerFilters, Method, Request};
use deepfit_train::text::{Style, words};
use deepfit_train::{ClassicalModel, RunRecord};

use super::{model_path, parse_threads, threads};
use crate::exit::{Exit, Usage};
use crate::output;
use crate::output::{explanations, importances};

/// Arguments of `deepfit explain`.
#[derive(Debug, Args)]
#[command(after_help = "Methods:
  grad-cam               images: which parts of a picture speak for the class, by the last convolutional layer. Costs no more
                         than a prediction, but its test some 200, and is used for images unless --method says otherwise,
                         if the network pools at its end; others have each place weighted by its own gradient (HiResCAM)
  integrated-gradients   images, tables, texts: shares of the class's logit, which add up; from the mean colour, the mean row
                         or the mean word. Used for images where grad-cam is not
  smoothgrad             images: the mean gradient of noisy copies, times how far each pixel is from the mean colour: which pixels
                         count, and how much
  occlusion              images, texts: how much the logit falls without a part; used for texts unless --method says otherwise
  attention-rollout      texts, by a network with attention: how much of what the last layer reads has come from each word, by the
                         weights of attention through all layers. It is the same for every class, and never against one
  shapley                tables: what each column adds to the probability; used for tables unless --method says otherwise
  permutation            tables: how much worse a table with its target is predicted when a column is shuffled
  counterfactual         tables: the smallest change that leads to another class, or to --class
  neighbours             the training examples that are most like the input to the last layer

Of labelled words each that has a label is explained by the words of its sentence (with --class LABEL the word that is nearest to
one), of a text that is continued the next token by those before it (--class TOKEN: another), of pairs of texts how near they are:
by occlusion, integrated-gradients and attention-rollout. Words that are taken away are then replaced by the mean of all, since
leaving them out would move the others. Rows of tables are explained one by one: what came before counts as the columns that hold
it.

With --filters it is told what the network itself responds to, whatever the input: for channels of each convolution, or of that
named by --layer, the filter drawn, if it looks at pixels (zero is mid-grey), the training pictures and patches that excite it most,
and a picture made to excite it (activation maximisation), which says so where it fails. Pictures that are given are looked at in
place of the training pictures; at most 1000. Pages are written into RUN/filters, or --out.

A classical model that `deepfit compare` has made is explained like a network, by shapley, permutation and counterfactual for
tables and by occlusion for pictures and texts; it has no gradients and no layers. Without INPUT it is told how much it goes by
each feature, whatever the input, where its features have weights.

Every explanation is tested on its input: parts are taken away, and put back, the most important first, and in random orders.
One that is no better says so; of one or two parts, there is no other order that would tell.

Examples:
  deepfit explain runs/photos-1 cat.jpg --out explained/
  deepfit explain runs/tumours-1 patients.csv --method counterfactual
  deepfit explain runs/reviews-1 new.txt --method integrated-gradients --json
  deepfit explain runs/names-1 sentences.txt --class PLACE
  deepfit explain runs/photos-1 --filters --layer conv1
  deepfit explain efficientnet-lite0 photo.jpg --class \"tabby, tabby cat\"

Inputs that cannot be read are reported on standard error, the others are explained, and the exit code is 2.")]
pub struct Arguments {
    /// Run folder, model folder, folder or file of a published model, or efficientnet-lite0
    #[arg(value_name = "MODEL|RUN", value_hint = ValueHint::AnyPath)]
    run: PathBuf,
    /// Images, folders or .zip files of images, a table, or texts, as for `deepfit predict`; of texts that are continued lines, of
    /// pairs a table of two columns. `-` reads a table or lines of text from standard input. Only a classical model is told of
    /// without
    #[arg(value_name = "INPUT", value_hint = ValueHint::AnyPath)]
    inputs: Vec<PathBuf>,
    /// How to explain; see below
    #[arg(long, value_name = "METHOD")]
    method: Option<Method>,
    /// The class to explain, or to reach by a counterfactual [default: the predicted one, or any other]
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    /// Of grad-cam: the layer to look at, by its name in `deepfit inspect` [default: the last convolutional one]; of --filters:
    /// the convolution [default: all]
    #[arg(long, value_name = "NAME")]
    layer: Option<String>,
    /// Of images: tell what each filter and channel of the network responds to; see below
    #[arg(long, conflicts_with_all = ["method", "class"])]
    filters: bool,
    /// Of --filters: most channels of a layer, those that differ most between pictures first
    #[arg(long, value_name = "N", requires = "filters", default_value_t = 8, value_parser = parse_channels)]
    channels: usize,
    /// Write an array of objects with `input`, `prediction`, `method`, `attributions` (of images rows of pixels, else an
    /// object by column, word or token), `faithfulness` and `completeness_error`; of labelled words also `word`, of
    /// attention-rollout what the numbers mean, `meaning`. With --filters: `layer`, `channel`, `largest`, `pictures` (`input`, `activation`, `patch`: top, left, height, width), `maximised` (`activation`,
    /// `reached`), `looks` (where it can be measured) and `page`
    #[arg(long)]
    json: bool,
    /// Write a file for each input: a PNG of the picture and what counts in it, or an HTML page
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    out: Option<PathBuf>,
    /// Threads; the result does not depend on them [default: all cores]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = parse_threads)]
    threads: Option<usize>,
}

/// Explains.
pub fn run(arguments: &Arguments) -> Result<Exit> {
    let dash = |path: &PathBuf| path.as_os_str() == "-";
    if arguments.inputs.len() > 1 && arguments.inputs.iter().any(dash) {
        return Err(Usage("standard input, '-', is read by itself; give '-' alone".to_string()).into());
    }
    let model = model_path(&arguments.run)?;
    if ClassicalModel::is_in(&model) && (arguments.inputs.is_empty() || arguments.filters) {
        return explain_classical(arguments, &ClassicalModel::open(&model)?);
    }
    if arguments.inputs.is_empty() && !arguments.filters {
        let problem = "INPUT is missing: give the pictures, the table or the texts that are to be explained";
        return Err(Usage(problem.to_string()).into());
    }
    let mut explainer = Explainer::open(&model, threads(arguments.threads))?;
    if arguments.filters {
        return explain_filters(arguments, &model, &mut explainer);
    }
    let (class, layer) = (arguments.class.clone(), arguments.layer.clone());
    let request = Request { method: arguments.method, class, layer, places: None };
    if let Some(out) = &arguments.out {
        require_folder(out)?;
        let failed = |source| ExplainError::Write { path: out.clone(), source };
        std::fs::create_dir_all(out).map_err(failed)?;
    }
    let mut writer =
        explanations::Writer::new(arguments.json, std::io::BufWriter::new(std::io::stdout().lock()), Style::stdout());
    // What was explained before a failure is shown in any case; errors of writing end the work, and are kept here.
    let (mut unwritten, mut explained) = (None, 0_u64);
    let mut saved = HashSet::new();
    let mut each = |explanation: Explanation| {
        if let Some(out) = &arguments.out {
            save(&explanation, out, &mut saved)?;
        }
        explained += 1;
        writer.write(&explanation).map_err(|error| {
            let told = std::io::Error::new(error.kind(), error.to_string());
            unwritten = Some(error);
            ExplainError::Write { path: PathBuf::from("standard output"), source: told }
        })
    };
    let outcome = if dash(&arguments.inputs[0]) {
        let mut stdin = std::io::stdin().lock();
        explainer.explain(Inputs::Reader(&mut stdin, "standard input"), &request, &mut each)
    } else {
        explainer.explain(Inputs::Paths(&arguments.inputs), &request, &mut each)
    };
    if let Some(error) = unwritten {
        return Err(output::stdout_error(error));
    }
    let finished = if outcome.is_ok() { writer.finish() } else { writer.abandon() };
    finished.map_err(output::stdout_error)?;
    let failed = outcome?;
    for note in explainer.take_notes() {
        output::say(&words::printable(&note));
    }
    for (name, reason) in &failed {
        output::say(&words::printable(&format!("{name}: {reason}")));
    }
    if failed.is_empty() {
        return Ok(Exit::Done);
    }
    output::say(&format!(
        "{} {} could not be read, {explained} explained",
        Style::stderr().red("error:"),
        words::plural(failed.len() as u64, "input")
    ));
    Ok(Exit::BadInput)
}

/// At least one channel.
fn parse_channels(text: &str) -> Result<usize, String> {
    let told = "must be a whole number from 1 on".to_string();
    text.parse().ok().filter(|&channels| channels > 0).ok_or(told)
}

/// Files are written into a folder, which may not exist yet.
fn require_folder(out: &Path) -> Result<()> {
    if out.exists() && !out.is_dir() {
        let problem = format!("--out '{}' is a file, and must name a folder; choose another name", out.display());
        return Err(Usage(problem).into());
    }
    Ok(())
}

/// Where the pictures are: those that were given, else the training data.
fn roots(arguments: &Arguments, model: &Path) -> Vec<PathBuf> {
    match arguments.inputs.is_empty() {
        true => RunRecord::open(model).map_or(Vec::new(), |run| vec![run.settings.data]),
        false => arguments.inputs.clone(),
    }
}

/// What the channels of the network's convolutions respond to.
fn explain_filters(arguments: &Arguments, model: &Path, explainer: &mut Explainer) -> Result<Exit> {
    if arguments.inputs.iter().any(|path| path.as_os_str() == "-") {
        return Err(Usage("--filters looks at pictures in files, not at standard input, '-'".to_string()).into());
    }
    let inside = model.join("settings.toml").is_file().then(|| model.join("filters"));
    let folder = arguments.out.clone().or(inside);
    folder.as_deref().map_or(Ok(()), require_folder)?;
    let roots = roots(arguments, model);
    let inputs = (!arguments.inputs.is_empty()).then_some(Inputs::Paths(&arguments.inputs));
    let request = FilterRequest { layer: arguments.layer.clone(), channels: arguments.channels };
    let name = arguments.run.display().to_string();
    let (mut objects, mut unwritten) = (Vec::new(), None);
    let mut each = |filters: LayerFilters| {
        let mut page = None;
        if let Some(folder) = &folder {
            let failed = |path: &Path, source| ExplainError::Write { path: path.to_path_buf(), source };
            std::fs::create_dir_all(folder).map_err(|source| failed(folder, source))?;
            let path = folder.join(format!("{}.html", filters.layer.replace(['/', '\\'], "-")));
            std::fs::write(&path, deepfit_report::filters_page(&name, &filters))
                .map_err(|source| failed(&path, source))?;
            page = Some(path);
        }
        if arguments.json {
            objects.extend(output::filters::json(&filters, page.as_deref()));
            return Ok(());
        }
        output::out(&output::filters::text(&filters, &roots, page.as_deref(), Style::stdout())).map_err(|error| {
            let told = std::io::Error::other(error.to_string());
            unwritten = Some(error);
            ExplainError::Write { path: PathBuf::from("standard output"), source: told }
        })
    };
    let outcome = explainer.filters(inputs, &request, &mut each);
    if let Some(error) = unwritten {
        return Err(error);
    }
    let failed = outcome?;
    if arguments.json {
        output::json(&objects)?;
    }
    if folder.is_none() {
        output::say("the pictures themselves are written with --out FOLDER");
    }
    for note in explainer.take_notes() {
        output::say(&words::printable(&note));
    }
    for (name, reason) in &failed {
        output::say(&words::printable(&format!("{name}: {reason}")));
    }
    Ok(if failed.is_empty() { Exit::Done } else { Exit::BadInput })
}

/// What a classical model goes by, whatever the input.
fn explain_classical(arguments: &Arguments, model: &ClassicalModel) -> Result<Exit> {
    let refused = |problem: &str| Usage(format!("{}: {} {problem}", arguments.run.display(), model.name()));
    if arguments.filters {
        return Err(refused("is no network, and has no filters: leave --filters away").into());
    }
    if arguments.method.is_some() || arguments.class.is_some() || arguments.layer.is_some() {
        let problem = "is told by the importances of its features where no INPUT is given, which are of all classes together: give \
                       inputs, or leave --method, --class and --layer away";
        return Err(refused(problem).into());
    }
    if arguments.out.is_some() {
        let problem = "is told by the importances of its features where no INPUT is given, which are shown and not drawn: give inputs, \
                       or leave --out away";
        return Err(refused(problem).into());
    }
    if model.is_constant() {
        return Err(refused("says the same of every row, whatever is in it: it looks at nothing").into());
    }
    let Some(importances) = model.importances() else {
        let problem = "gives its features no weights, so that there is nothing to tell of them; give inputs, which are explained one \
                       by one";
        return Err(refused(problem).into());
    };
    if arguments.json {
        output::json(&importances::json(model.name(), &importances))?;
    } else {
        output::out(&importances::text(model.name(), &importances, Style::stdout()))?;
    }
    Ok(Exit::Done)
}

/// Writes the file of an explanation: its name is that of the input, with a number where inputs of several folders share one.
fn save(explanation: &Explanation, out: &Path, saved: &mut HashSet<String>) -> deepfit_explain::Result<()> {
    let input = &explanation.input;
    let stem = Path::new(input).file_stem().map_or("input".into(), |stem| stem.to_string_lossy());
    let first = if input.parse::<u64>().is_ok() { format!("row-{input}") } else { stem.into_owned() };
    let others = (2..).map(|number| format!("{first}-{number}"));
    // Without end, so that one is free.
    let name = std::iter::once(first.clone()).chain(others).find(|name| !saved.contains(name)).unwrap_or(first.clone());
    let file = |ending: &str| out.join(format!("{name}-{}.{ending}", explanation.method));
    let is_picture = explanation.picture(&file("png"))?;
    saved.insert(name.clone());
    if is_picture {
        return Ok(());
    }
    let path = file("html");
    std::fs::write(&path, explanations::page(explanation)).map_err(|source| ExplainError::Write { path, source })
}
