//! Decisions by simulation: calibration that helps and is chosen, sets and intervals that hold what they promise, thresholds.

use deepfit_data::Task;

use super::calibrate::Outputs;
use super::conformal::Form;
use super::*;

/// Random numbers of the simulations: a counter through the finaliser of SplitMix64.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.uniform()).ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

fn classes(count: usize) -> Task {
    Task::Classification { classes: (0..count).map(|class| format!("c{class}")).collect() }
}

fn wanted(calibration: &str, coverage: f64) -> Wanted<'_> {
    Wanted { calibration, coverage, adaptive: false, costs: None }
}

/// Rows with their true probabilities raised to a power, and one class of each drawn by the true ones.
fn sure(random: &mut Random, rows: usize, classes: usize, power: f64) -> HeldOut {
    let mut held = HeldOut::default();
    for row in 0..rows {
        let target = (random.uniform() * classes as f64) as usize;
        let odds: Vec<f64> =
            (0..classes).map(|class| 1.5 * (random.normal() + if class == target { 1.5 } else { 0.0 })).collect();
        let powers: Vec<f64> = odds.iter().map(|l| (power * l).exp()).collect();
        let sum: f64 = powers.iter().sum();
        held.rows.push(row as u32);
        held.values.extend(powers.iter().map(|p| (p / sum) as f32));
        held.targets.push(target as f32);
    }
    held
}

#[test]
fn a_temperature_is_that_of_least_log_loss_drawn_to_one() {
    let held = HeldOut {
        rows: (0..8).collect(),
        values: vec![0.9, 0.1, 0.99, 0.01, 0.2, 0.8, 0.05, 0.95, 0.6, 0.4, 0.97, 0.03, 0.3, 0.7, 0.08, 0.92],
        targets: vec![0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0],
        ..HeldOut::default()
    };
    // Eight rows are repeated, since so few are not calibrated by; the prior then counts a third as much.
    let times = |weights: &[f64]| HeldOut { weights: weights.iter().map(|w| w / 3.0).collect(), ..held.clone() };
    let temperature = |one: HeldOut| {
        let mut all = HeldOut::default();
        for copy in 0..3u32 {
            all.rows.extend(one.rows.iter().map(|row| row + 8 * copy));
            all.values.extend_from_slice(&one.values);
            all.targets.extend_from_slice(&one.targets);
            all.weights.extend_from_slice(&one.weights);
        }
        let (decision, _) = fit(&wanted("temperature", 0.0), &all, &classes(2));
        decision.calibration.unwrap().temperature()
    };
    // scipy.optimize.minimize_scalar over u = -ln T of
    // (w * (np.log(np.exp(z).sum(1)) - (t * z).sum(1))).sum() + u * u / 2 with z = np.log(P) * np.exp(u) and t of 25/26 for
    // the true class and 1/26 for the other
    assert!((temperature(times(&[1.0; 8])) - 2.901827).abs() < 1e-4);
    assert!((temperature(times(&[1.0, 2.0, 1.0, 1.0, 3.0, 1.0, 0.5, 1.0])) - 3.785874).abs() < 1e-4);
}

#[test]
fn a_network_that_is_too_sure_is_calibrated_and_decides_as_before() {
    let mut random = Random(1);
    for (count, power) in [(2, 3.0), (10, 2.5), (4, 0.4)] {
        let (held, test) = (sure(&mut random, 1500, count, power), sure(&mut random, 3000, count, power));
        let task = classes(count);
        let (decision, findings) = fit(&wanted("temperature", 0.0), &held, &task);
        let found = decision.calibration.as_ref().unwrap().temperature();
        assert!((found / power - 1.0).abs() < 0.15, "{count}: {found} instead of {power}");
        let report = findings.calibration.unwrap();
        let compared = report.validation.unwrap();
        assert!(compared.after.log_loss < compared.before.log_loss, "{compared:?}");
        assert!(compared.after.brier < compared.before.brier);
        assert!(compared.after.ece.unwrap() < 0.5 * compared.before.ece.unwrap(), "{compared:?}");
        let mut measured = DecisionMetrics::new(&decision, &task);
        for (row, &class) in test.values.chunks_exact(count).zip(&test.targets) {
            let judged = decision.judge(row, &task);
            assert_eq!(judged.class, largest(row), "temperature changes no decision");
            assert!((judged.probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            measured.add(row, &judged, &[class], 1.0);
        }
        let mut findings = decision.findings(&task);
        measured.complete(&mut findings);
        let report = findings.calibration.unwrap();
        let compared = report.measured.unwrap();
        assert!(compared.after.ece.unwrap() < 0.4 * compared.before.ece.unwrap(), "{compared:?}");
        assert_eq!(report.reliability.iter().map(|bin| bin.count).sum::<u64>(), 3000);
        // The bins tell the error.
        let ece: f64 = report
            .reliability
            .iter()
            .map(|bin| bin.count as f64 * (bin.accuracy - bin.mean_confidence).abs() / 3000.0)
            .sum();
        assert!((ece - compared.after.ece.unwrap()).abs() < 1e-9);
    }
}

#[test]
fn rows_without_an_error_make_nothing_certain() {
    let mut held = HeldOut::default();
    for row in 0..200 {
        held.rows.push(row);
        held.values.extend([0.8, 0.2]);
        held.targets.push(0.0);
    }
    let (decision, _) = fit(&wanted("temperature", 0.0), &held, &classes(2));
    let sure = decision.judge(&[0.8, 0.2], &classes(2)).probabilities[0];
    assert!((0.98..0.998).contains(&sure), "{sure}: 200 of 200 are no more than about 201 of 202");
}

#[test]
fn extreme_temperatures_change_no_decision_either() {
    let mut random = Random(2);
    for temperature in [0.051, 1.0, 19.9] {
        let calibration = Some(Calibration::Temperature { temperature });
        let decision = Decision { calibration, ..Decision::default() };
        for _ in 0..2000 {
            let first = random.uniform() as f32;
            for row in [[first, 1.0 - first], [0.5 + 1e-7 * first, 0.5 - 1e-7 * first], [1.0, 0.0], [0.5, 0.5]] {
                let judged = decision.judge(&row, &classes(2));
                assert_eq!(judged.class, largest(&row));
                assert!(judged.probabilities.iter().all(|p| (0.0..=1.0).contains(p)), "{judged:?}");
            }
        }
    }
}

#[test]
fn the_way_is_chosen_by_rows_that_it_was_not_fitted_to() {
    let mut random = Random(3);
    // Right probabilities are left alone, or nearly.
    let (decision, findings) = fit(&wanted("auto", 0.0), &sure(&mut random, 800, 2, 1.0), &classes(2));
    let temperature = decision.calibration.as_ref().map_or(1.0, Calibration::temperature);
    assert!((temperature - 1.0).abs() < 0.15 && findings.calibration.unwrap().method != "isotonic");
    // Too sure by a power: one number says so.
    let (_, findings) = fit(&wanted("auto", 0.0), &sure(&mut random, 800, 2, 3.0), &classes(2));
    assert_eq!(findings.calibration.unwrap().method, "temperature");
    // What no temperature mends, since it is wrong in one direction: the true probability is the square.
    let bent = |random: &mut Random, rows: usize| {
        let mut held = HeldOut::default();
        for row in 0..rows {
            let p = random.uniform();
            held.rows.push(row as u32);
            held.values.extend([1.0 - p as f32, p as f32]);
            held.targets.push(f32::from(u8::from(random.uniform() < p.powi(3))));
        }
        held
    };
    let held = bent(&mut random, 2000);
    let (decision, findings) = fit(&wanted("auto", 0.0), &held, &classes(2));
    let report = findings.calibration.unwrap();
    assert_eq!(report.method, "isotonic", "{report:?}");
    for p in [0.2f32, 0.5, 0.7, 0.9] {
        let made = decision.judge(&[1.0 - p, p], &classes(2));
        assert!((made.probabilities[1] - p.powi(3)).abs() < 0.08, "{p}: {made:?}");
        assert_eq!(made.class, usize::from(p == 0.9), "what is predicted follows the calibrated probability");
    }
    // What was in order stays in order.
    let curve: Vec<f32> = (0..=1000)
        .map(|i| decision.judge(&[1.0 - i as f32 / 1e3, i as f32 / 1e3], &classes(2)).probabilities[1])
        .collect();
    assert!(curve.windows(2).all(|pair| pair[0] < pair[1]));
    let (_, findings) = fit(&wanted("none", 0.0), &held, &classes(2));
    assert_eq!(findings.calibration.unwrap().method, "none");
}

#[test]
fn few_rows_are_told_and_labels_have_a_temperature() {
    let mut random = Random(4);
    let few = sure(&mut random, 12, 2, 3.0);
    let (decision, findings) = fit(&wanted("auto", 0.95), &few, &classes(2));
    assert!(decision.is_empty());
    let why = findings.calibration.unwrap().reason.unwrap();
    assert!(why.contains("12 validation rows are too few") && why.contains("20"), "{why}");
    let report = findings.conformal.unwrap();
    assert!(report.reason.as_ref().unwrap().contains("at least 19 are needed"), "{report:?}");
    assert!(fit(&wanted("none", 0.9), &few, &classes(2)).0.conformal.is_some(), "12 are enough for 90 %");
    // Labels whose odds are raised to the third power.
    let mut held = HeldOut::default();
    for row in 0..1000 {
        held.rows.push(row);
        for _ in 0..3 {
            let has = random.uniform() < 0.4;
            let l = 2.0 * (random.normal() + if has { 1.0 } else { -1.0 }) + (0.4f64 / 0.6).ln();
            held.values.push((1.0 / (1.0 + (-3.0 * l).exp())) as f32);
            held.targets.push(f32::from(u8::from(has)));
        }
    }
    let task = Task::MultiLabel { classes: vec!["a".into(), "b".into(), "c".into()] };
    let (decision, findings) = fit(&wanted("auto", 0.9), &held, &task);
    let temperature = decision.calibration.as_ref().unwrap().temperature();
    assert!((temperature - 3.0).abs() < 0.3, "{temperature}");
    let compared = findings.calibration.unwrap().validation.unwrap();
    assert!(compared.after.log_loss < 0.8 * compared.before.log_loss && compared.after.ece.is_none());
    for row in held.values.chunks_exact(3) {
        let judged = decision.judge(row, &task).probabilities;
        // A probability that rounding makes 0.5 may count as either.
        assert!(row.iter().zip(&judged).all(|(a, b)| (*a >= 0.5) == (*b >= 0.5) || (b - 0.5).abs() < 1e-6));
    }
}

/// Share of new rows whose set holds the true class, over many draws of few rows, and the mean size of sets.
fn coverage_of_sets(rows: usize, coverage: f64, power: f64, adaptive: bool) -> (f64, f64) {
    let mut random = Random(5);
    let (task, draws, new) = (classes(5), 600, 40);
    let (mut hits, mut sizes) = (0.0, 0.0);
    for _ in 0..draws {
        let wanted = Wanted { adaptive, ..wanted("none", coverage) };
        let (decision, _) = fit(&wanted, &sure(&mut random, rows, 5, power), &task);
        let conformal = decision.conformal.unwrap();
        let test = sure(&mut random, new, 5, power);
        for (row, &class) in test.values.chunks_exact(5).zip(&test.targets) {
            let set = conformal.set(row);
            assert_eq!(set[0], largest(row), "the most probable class is in each set");
            hits += f64::from(u8::from(set.contains(&(class as usize))));
            sizes += set.len() as f64;
        }
    }
    (hits / f64::from(draws * new as u32), sizes / f64::from(draws * new as u32))
}

#[test]
fn sets_hold_the_true_class_as_often_as_was_asked_for() {
    for (rows, coverage, power) in [(20, 0.9, 1.0), (50, 0.8, 3.0), (100, 0.95, 0.5), (200, 0.9, 3.0)] {
        let (found, size) = coverage_of_sets(rows, coverage, power, false);
        // At least that, on average over draws, and hardly more: by one row in all, and by sets that would be empty.
        let (low, high) = (coverage - 0.012, coverage + 1.0 / rows as f64 + 0.035);
        assert!((low..=high).contains(&found), "{rows} rows, {coverage}: {found}, {size} classes");
        assert!((1.0..4.5).contains(&size), "{size}");
    }
}

#[test]
fn adaptive_sets_hold_the_true_class_at_least_as_often_as_was_asked_for() {
    for (rows, coverage, power) in [(20, 0.9, 1.0), (50, 0.8, 3.0), (100, 0.95, 0.5), (200, 0.9, 3.0)] {
        let (found, size) = coverage_of_sets(rows, coverage, power, true);
        assert!(found >= coverage - 0.012, "{rows} rows, {coverage}: {found}, {size} classes");
        assert!((1.0..4.9).contains(&size), "{size}");
    }
}

#[test]
fn adaptive_sets_of_a_network_that_is_nearly_always_right_have_one_class() {
    let task = classes(10);
    let mut random = Random(12);
    // One row in 50 is of another class than the one that has nearly all of the probability.
    let mut draw = |rows: usize| {
        let mut held = HeldOut::default();
        for row in 0..rows {
            let (target, wrong) = ((random.uniform() * 10.0) as usize, random.uniform() < 0.02);
            let likely = if wrong { (target + 1) % 10 } else { target };
            let odds: Vec<f64> = (0..10).map(|c| random.normal() + if c == likely { 8.0 } else { 0.0 }).collect();
            let sum: f64 = odds.iter().map(|l| l.exp()).sum();
            held.rows.push(row as u32);
            held.values.extend(odds.iter().map(|l| (l.exp() / sum) as f32));
            held.targets.push(target as f32);
        }
        held
    };
    let (held, test) = (draw(600), draw(4000));
    for coverage in [0.8, 0.9, 0.95] {
        let (decision, _) = fit(&Wanted { adaptive: true, ..wanted("none", coverage) }, &held, &task);
        let conformal = decision.conformal.unwrap();
        let (mut hits, mut sizes) = (0, 0);
        for (row, &class) in test.values.chunks_exact(10).zip(&test.targets) {
            let set = conformal.set(row);
            assert_eq!(set[0], largest(row), "the most probable class is in each set");
            (hits, sizes) = (hits + usize::from(set.contains(&(class as usize))), sizes + set.len());
        }
        let (found, size) = (hits as f64 / 4000.0, sizes as f64 / 4000.0);
        assert!(found >= coverage && size < 1.2, "{coverage}: {found}, {size} classes");
    }
}

#[test]
fn adaptive_sets_hold_the_true_class_of_hard_rows_as_often_as_of_easy_ones() {
    let (task, mut random) = (classes(5), Random(8));
    let (held, test) = (sure(&mut random, 50_000, 5, 1.0), sure(&mut random, 200_000, 5, 1.0));
    let of_hard_rows = |adaptive: bool| {
        let (decision, findings) = fit(&Wanted { adaptive, ..wanted("none", 0.8) }, &held, &task);
        let report = findings.conformal.unwrap();
        assert_eq!((report.form == "adaptive sets", report.is_of_sets()), (adaptive, true));
        let conformal = decision.conformal.unwrap();
        assert!(conformal.is_sound(&task) && !conformal.is_sound(&Task::Regression));
        let saved = serde_json::to_string(&conformal).unwrap();
        assert_eq!(serde_json::from_str::<Conformal>(&saved).unwrap(), conformal);
        let (mut hits, mut hard, mut easy) = (0, 0, 0.0_f64);
        for (row, &class) in test.values.chunks_exact(5).zip(&test.targets) {
            let set = conformal.set(row);
            assert_eq!(set, conformal.set(row), "the same row has the same set");
            match row[largest(row)] {
                most if most < 0.55 => (hits, hard) = (hits + u32::from(set.contains(&(class as usize))), hard + 1),
                most if most > 0.995 => easy = easy.max(set.len() as f64),
                _ => {}
            }
        }
        assert!(hard > 300 && easy == 1.0, "{hard} hard rows, {easy} classes of easy ones");
        f64::from(hits) / f64::from(hard)
    };
    let (smallest, adaptive) = (of_hard_rows(false), of_hard_rows(true));
    assert!(adaptive > 0.79 && smallest < 0.79, "{adaptive} of hard rows, {smallest} by the smallest sets");
}

#[test]
fn intervals_hold_the_true_value_as_often_as_was_asked_for() {
    let draw = |random: &mut Random, rows: usize, spreads: bool| {
        let mut held = HeldOut::default();
        for row in 0..rows {
            let x = 10.0 * random.uniform();
            let noise = if spreads { 0.1 + 0.5 * x } else { 1.0 };
            held.rows.push(row as u32);
            held.values.push(x as f32);
            held.targets.push((x + noise * random.normal()) as f32);
        }
        held
    };
    let mut random = Random(6);
    let mut widths = Vec::new();
    for (rows, coverage, spreads) in [(25, 0.9, false), (60, 0.8, true), (400, 0.9, true), (400, 0.9, false)] {
        let (draws, new) = (400, 40);
        let (mut hits, mut width, mut ends) = (0.0, 0.0, [0.0; 2]);
        for _ in 0..draws {
            let (decision, findings) =
                fit(&wanted("none", coverage), &draw(&mut random, rows, spreads), &Task::Regression);
            assert_eq!(findings.conformal.unwrap().form, "intervals");
            let conformal = decision.conformal.unwrap();
            let Form::Interval { spread, .. } = &conformal.form else { panic!("{conformal:?}") };
            assert!(spread.is_empty() || rows >= 200);
            let of = |value: f64| conformal.interval(value).unwrap();
            (ends[0], ends[1]) = (ends[0] + of(0.5)[1] - 0.5, ends[1] + of(9.5)[1] - 9.5);
            let test = draw(&mut random, new, spreads);
            for (&value, &truth) in test.values.iter().zip(&test.targets) {
                let [low, high] = of(f64::from(value));
                hits += f64::from(u8::from((low..=high).contains(&f64::from(truth))));
                width += high - low;
            }
        }
        let found = hits / (draws * new) as f64;
        let (low, high) = (coverage - 0.015, coverage + 1.0 / rows as f64 + 0.015);
        assert!((low..=high).contains(&found), "{rows} rows, {coverage}: {found}");
        widths.push((width / (draws * new) as f64, ends[1] / ends[0]));
    }
    // Errors that grow with the prediction make intervals that do, with enough rows; else all are of one width.
    assert!(widths[2].1 > 3.0 && (widths[0].1 - 1.0).abs() < 1e-9 && (widths[3].1 - 1.0).abs() < 0.2, "{widths:?}");
}

#[test]
fn the_threshold_follows_costs_and_saves_them_on_new_rows() {
    let mut random = Random(7);
    let costs = Costs { missed: vec![1.0, 10.0], positive: 1, false_alarm: None, threshold: None };
    let (held, test) = (sure(&mut random, 1000, 2, 1.0), sure(&mut random, 5000, 2, 1.0));
    let all = Wanted { costs: Some(costs.clone()), ..wanted("none", 0.0) };
    let (decision, findings) = fit(&all, &held, &classes(2));
    let fitted = decision.costs.clone().unwrap();
    // Right probabilities ask for 1 / (1 + 10).
    assert!((fitted.threshold.unwrap() - 1.0 / 11.0).abs() < 0.08, "{fitted:?}");
    assert!(findings.costs.unwrap().chosen.is_some());
    let mean = |decision: &Decision| {
        let of = |(row, &class): (&[f32], &f32)| costs.of(class as usize, decision.judge(row, &classes(2)).class);
        test.values.chunks_exact(2).zip(&test.targets).map(of).sum::<f64>() / 5000.0
    };
    let (with, without) = (mean(&decision), mean(&Decision::default()));
    assert!(with < 0.7 * without, "{with} {without}");
    // Probabilities that are wrong ask for a threshold of the rows themselves.
    let wrong = HeldOut {
        values: held.values.chunks_exact(2).flat_map(|row| [1.0 - row[1].powi(4), row[1].powi(4)]).collect(),
        ..held.clone()
    };
    let (decision, findings) = fit(&all, &wrong, &classes(2));
    assert!(decision.costs.unwrap().threshold.unwrap() < 0.02);
    assert_eq!(findings.costs.unwrap().chosen.as_deref(), Some("by the validation rows"));
    // Of several classes, what is missed dearly is predicted sooner.
    let several = Costs { missed: vec![1.0, 1.0, 4.0], positive: 0, false_alarm: None, threshold: None };
    assert_eq!((several.decide(&[0.6, 0.2, 0.2]), several.decide(&[0.7, 0.2, 0.1])), (2, 0));
}

#[test]
fn labels_are_told_from_the_probability_on_at_which_both_errors_cost_the_same() {
    let task = Task::MultiLabel { classes: vec!["a".into(), "b".into(), "c".into()] };
    let costs = Costs { missed: vec![9.0, 1.0, 0.0], false_alarm: Some(1.0), positive: 0, threshold: None };
    // True probabilities, by which labels are drawn.
    let mut random = Random(9);
    let mut draw = |rows: u32| {
        let mut held = HeldOut::default();
        for row in 0..rows {
            held.rows.push(row);
            for _ in 0..3 {
                let p = random.uniform();
                held.values.push(p as f32);
                held.targets.push(f32::from(u8::from(random.uniform() < p)));
            }
        }
        held
    };
    let (held, test) = (draw(500), draw(4000));
    let wanted = Wanted { costs: Some(costs), ..wanted("none", 0.9) };
    let (decision, findings) = fit(&wanted, &held, &task);
    assert_eq!(decision.thresholds(3), [0.1, 0.5, 1.0]);
    assert!(decision.problem(&task).is_none() && decision.problem(&classes(3)).is_some());
    let report = findings.costs.unwrap();
    assert_eq!((report.false_alarm, report.thresholds["b"], report.threshold), (Some(1.0), 0.5, None));
    assert!(report.validation.unwrap().after < report.validation.unwrap().before);
    let mut metrics = DecisionMetrics::new(&decision, &task);
    for (row, truth) in test.values.chunks_exact(3).zip(test.targets.chunks_exact(3)) {
        metrics.add(row, &decision.judge(row, &task), truth, 1.0);
    }
    let mut findings = decision.findings(&task);
    metrics.complete(&mut findings);
    // Of the first label 9 * 0.1^2 / 2 + 0.9^2 / 2 in place of (9 + 1) / 8; of the others 1 / 4 and nothing in place of 1 / 8.
    let measured = findings.costs.unwrap().measured.unwrap();
    assert!((measured.after - (0.45 + 0.25)).abs() < 0.06, "{measured:?}");
    assert!((measured.before - (1.25 + 0.25 + 0.125)).abs() < 0.09, "{measured:?}");
    assert_eq!(Decision::default().thresholds(2), [0.5, 0.5]);
}

#[test]
fn decisions_of_another_task_are_refused() {
    let calibration = Calibration::Temperature { temperature: 2.0 };
    let decision = Decision { calibration: Some(calibration), ..Decision::default() };
    assert_eq!(decision.problem(&classes(3)), None);
    assert!(decision.problem(&Task::Regression).is_some());
    let absurd = Calibration::Temperature { temperature: f64::NAN };
    assert!(Decision { calibration: Some(absurd), ..Decision::default() }.problem(&classes(3)).is_some());
    let conformal = Conformal { coverage: 0.9, form: Form::Interval { half: -1.0, spread: Vec::new() } };
    assert!(Decision { conformal: Some(conformal), ..Decision::default() }.problem(&Task::Regression).is_some());
    let costs = Costs { missed: vec![1.0], positive: 0, false_alarm: None, threshold: None };
    assert!(Decision { costs: Some(costs), ..Decision::default() }.problem(&classes(2)).is_some());
    // Written and read, they are the same.
    let mut random = Random(8);
    for (task, held) in [(classes(2), sure(&mut random, 900, 2, 3.0)), (classes(4), sure(&mut random, 900, 4, 3.0))] {
        let (decision, _) = fit(&wanted("isotonic", 0.9), &held, &task);
        let text = serde_json::to_string(&decision).unwrap();
        assert_eq!(serde_json::from_str::<Decision>(&text).unwrap(), decision);
        assert_eq!(decision.problem(&task), None);
    }
    assert_eq!(outputs_of(&Task::Regression), None::<Outputs>);
}
