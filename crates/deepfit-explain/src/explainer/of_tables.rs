//! Rows of tables: what stands in for columns that are taken away, and what is told of one row or of a whole table.

use std::sync::Arc;

use deepfit_data::{Array, Batch, Cell, Opened, Pass, Preprocessor, Source, TablePreprocessor, Task};
use deepfit_train::{learned_note, training_rows};

use super::{BACKGROUND, Decided, Explained, Explainer, Given, Inputs, Request, SHUFFLES, Tested};
use crate::counterfactual::Search;
use crate::error::{ExplainError, Result};
use crate::explanation::{Attributions, Details, Explanation};
use crate::gradients::integrated;
use crate::method::Method;
use crate::removal::{Removal, leave_one_out};
use crate::rows::Rows;
use crate::shapley::shapley;
use crate::subject::Unit;
use crate::tables::{Columns, OfRow, OfTable};

impl Explainer {
    /// The table preprocessor of the model.
    pub(crate) fn table(&self) -> Result<Arc<TablePreprocessor>> {
        match self.subject.preprocessor() {
            Preprocessor::Table(table) => Ok(table.clone()),
            _ => Err(ExplainError::asked("the model takes no tables")),
        }
    }

    /// Rows that stand in for columns that are taken away, and what they are: of the training data if it is still there, else
    /// of the inputs.
    fn background(&mut self, inputs: &Arc<dyn Source>) -> Result<(Rows, String)> {
        if let Some(known) = &self.background {
            return Ok(known.clone());
        }
        let training = training_rows(&self.run, self.subject.preprocessor(), self.threads);
        let (source, rows, of) = match training {
            Ok(Some(Opened { source, rows, .. })) => (source, rows, "training rows"),
            other => {
                if let Err(error) = other {
                    let note =
                        format!("the training data cannot be used, so that rows of the input stand in for it: {error}");
                    self.notes.push(note);
                }
                (inputs.clone(), (0..inputs.len() as u32).collect(), "rows of the input")
            }
        };
        let count = rows.len().min(BACKGROUND);
        let chosen: Vec<u32> = (0..count).map(|i| rows[i * rows.len() / count]).collect();
        let mut batch = Batch::new();
        source.fill(&chosen, Pass::Evaluate, &mut batch)?;
        let found = (Rows::of(&batch), format!("{count} {of}"));
        self.background = Some(found.clone());
        Ok(found)
    }

    pub(super) fn row_of_table(
        &mut self,
        given: &Given<'_>,
        method: Method,
        decided: &Decided,
        request: &Request,
    ) -> Result<Explained> {
        let table = self.table()?;
        let columns = Columns::of(&table, self.subject.names());
        let (background, described) = self.background(given.source)?;
        let (output, row) = (decided.output, &given.row);
        let mut unit = self.subject.unit();
        let tested = unit;
        let mut details = Details { background: Some(described), ..Details::default() };
        let (mut completeness_error, mut of_change) = (None, None);
        let values = match method {
            Method::IntegratedGradients => {
                unit = self.subject.gradient_unit();
                let baseline = columns.mean_row(row, &background);
                let found = integrated(&mut self.subject, row, &baseline, output)?;
                completeness_error = Some(found.completeness_error);
                columns.sums(&found.inputs)
            }
            Method::Counterfactual => {
                let wanted = request.class.as_ref().filter(|_| decided.output == decided.predicted);
                details.already = wanted.map(|class| format!("'{class}' is what is predicted already"));
                let (values, found) = self.counterfactual(&table, given, decided, request)?;
                (details.counterfactual, of_change) = found.unzip();
                values
            }
            _ => {
                let subject = &mut self.subject;
                let mut of_row = OfRow { subject, columns: &columns, row, background: &background, output, unit };
                let found = shapley(&mut of_row)?;
                details.expectation = Some(found.expectation);
                details.permutations = found.permutations;
                found.values
            }
        };
        let subject = &mut self.subject;
        let mut of_row = OfRow { subject, columns: &columns, row, background: &background, output, unit: tested };
        let faithfulness = match method {
            // Tested by other changes, if one was found.
            Method::Counterfactual => of_change,
            _ => Some(Self::test(&mut of_row, &values, tested)?),
        };
        let shown = table.columns.iter().enumerate();
        details.cells =
            shown.map(|(place, column)| column.shown(given.source.cell(given.number, place).as_ref())).collect();
        let attributions = Attributions::Named(columns.names.into_iter().zip(values).collect());
        Ok(Explained { attributions, unit: unit.name(), faithfulness, completeness_error, details })
    }

    /// The smallest change that leads to another class; as attributions how far each column is changed.
    fn counterfactual(
        &mut self,
        table: &TablePreprocessor,
        given: &Given<'_>,
        decided: &Decided,
        request: &Request,
    ) -> Result<(Vec<f64>, Option<Tested>)> {
        let wanted = request.class.as_ref().map(|class| self.subject.class(class)).transpose()?;
        if wanted == Some(decided.predicted) {
            return Ok((vec![0.0; table.columns.len()], None));
        }
        let training = training_rows(&self.run, self.subject.preprocessor(), self.threads).ok().flatten();
        let (source, rows) = match training {
            Some(opened) => (opened.source, opened.rows),
            None => (given.source.clone(), (0..given.source.len() as u32).collect()),
        };
        let cells = |column: usize| rows.iter().filter_map(|&row| source.cell(row, column)).collect::<Vec<Cell>>();
        let row =
            (0..table.columns.len()).map(|column| given.source.cell(given.number, column).unwrap_or(Cell::Missing));
        let search = Search::new(&mut self.subject, table, row.collect(), cells, decided.predicted, wanted);
        let found = search.find()?;
        let change = |name: &String| {
            let changes = found.iter().flat_map(|(found, _)| &found.changes);
            changes.filter(|change| change.column == *name).map(|change| change.distance).sum()
        };
        Ok((table.columns.iter().map(|column| change(&column.name)).collect(), found))
    }

    /// How much worse the rows of a table are predicted when a column is shuffled.
    pub(super) fn permutation(&mut self, inputs: Inputs<'_>) -> Result<Explanation> {
        let Inputs::Paths([path]) = inputs else {
            let problem = "permutation importance is of one table, a file, with the target in it";
            return Err(ExplainError::asked(problem));
        };
        let table = self.table()?;
        let mut opened = table.open_labelled(path, self.threads)?;
        self.notes.append(&mut opened.notes);
        // What was learned by heart counts there, too, which says nothing of new rows.
        self.notes.extend(learned_note(&self.run, &*opened.source, &opened.rows)?);
        self.importance_of(&table, &opened, &path.to_string_lossy())
    }

    pub(super) fn importance_of(
        &mut self,
        table: &TablePreprocessor,
        opened: &Opened,
        name: &str,
    ) -> Result<Explanation> {
        let mut batch = Batch::new();
        opened.source.fill(&opened.rows, Pass::Evaluate, &mut batch)?;
        let rows = Rows::of(&batch);
        let columns = Columns::of(table, self.subject.names());
        let targets: Array = batch.targets.clone();
        let mut sums = vec![0.0; columns.names.len()];
        let mut of_table =
            OfTable { subject: &mut self.subject, columns: &columns, rows: &rows, targets: &targets, seed: 0 };
        for seed in 0..SHUFFLES {
            of_table.seed = seed;
            sums.iter_mut().zip(leave_one_out(&mut of_table)?).for_each(|(sum, fall)| *sum += fall / SHUFFLES as f64);
        }
        of_table.seed = SHUFFLES;
        let faithfulness = Some(Self::test(&mut of_table, &sums, Unit::Probability)?);
        let whole = of_table.scores(&[vec![true; columns.names.len()]])?[0];
        let metric = match self.subject.task() {
            Task::Regression => "r2",
            Task::MultiLabel { .. } => "label accuracy",
            _ => "accuracy",
        };
        Ok(Explanation {
            input: name.to_string(),
            prediction: None,
            class: None,
            method: Method::Permutation,
            unit: metric,
            attributions: Attributions::Named(columns.names.into_iter().zip(sums).collect()),
            faithfulness,
            completeness_error: None,
            details: Details { metric: Some((metric, whole)), ..Details::default() },
        })
    }
}
