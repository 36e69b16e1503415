use deepfit_nn::{Anneal, Schedule};

use crate::golden::Golden;

fn check(name: &str, schedule: Schedule) {
    let golden = Golden::read("schedules");
    let settings = &golden.config["schedules"][name];
    let base = settings.get("lr").or(settings.get("max_lr")).and_then(|v| v.as_f64()).expect("a learning rate");
    let expected = golden.get(name);
    assert_eq!(expected.data.len(), 50);
    for (step, expected) in expected.data.iter().enumerate() {
        let rate = base * schedule.rate(step as u64, 50);
        assert!((rate - expected).abs() < 1e-12, "{name} step {step}: {rate} instead of {expected}");
    }
}

#[test]
fn schedules_equal_pytorchs() {
    check("constant", Schedule::constant());
    let cosine = Schedule::Cosine { warmup_steps: 0, final_fraction: 0.01 };
    check("cosine", cosine.clone());
    check("warmup_cosine", cosine.with_warmup(5));
    check("one_cycle_cos", Schedule::one_cycle());
    let Schedule::OneCycle { warmup_steps, pct_start, div_factor, final_div_factor, .. } = Schedule::one_cycle() else {
        panic!("one_cycle makes a cycle");
    };
    let anneal = Anneal::Linear;
    let three_phase = false;
    check(
        "one_cycle_linear",
        Schedule::OneCycle { warmup_steps, anneal, pct_start, div_factor, final_div_factor, three_phase },
    );
}

#[test]
fn every_rate_is_a_fraction_however_short_the_run() {
    let Schedule::OneCycle { warmup_steps, anneal, pct_start, div_factor, final_div_factor, .. } =
        Schedule::one_cycle()
    else {
        panic!("one_cycle makes a cycle");
    };
    let three_phases =
        Schedule::OneCycle { warmup_steps, anneal, pct_start, div_factor, final_div_factor, three_phase: true };
    for schedule in [Schedule::constant(), Schedule::cosine(), Schedule::one_cycle(), three_phases] {
        for warmup in [0, 1, 3, 10] {
            let schedule = schedule.clone().with_warmup(warmup);
            for total in 0..12 {
                for step in 0..15 {
                    let rate = schedule.rate(step, total);
                    assert!((0.0..=1.0).contains(&rate), "{schedule:?} {step} of {total}: {rate}");
                }
                assert!(total == 0 || schedule.rate(0, total) > 0.0, "{schedule:?} of {total} begins at 0");
            }
        }
    }
}

#[test]
fn warmup_rises_in_equal_steps_and_later_steps_count_from_its_end() {
    let schedule = Schedule::one_cycle().with_warmup(4);
    let rates: Vec<f64> = (0..4).map(|i| schedule.rate(i, 24)).collect();
    assert_eq!(rates, [0.25, 0.5, 0.75, 1.0]);
    for step in 0..20 {
        assert_eq!(schedule.rate(step + 4, 24), Schedule::one_cycle().rate(step, 20));
    }
}
