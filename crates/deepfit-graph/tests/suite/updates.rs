//! Parameters that change during a run: which value is read where.

use deepfit_graph::passes::optimise;
use deepfit_graph::plan::Plan;
use deepfit_graph::{DType, Extents, Graph, Mode, Reference, Result, Tensor, Tracer};

use super::simulator::{assert_plan_equals, simulate};

/// Traces `build` on a parameter `p` and an input `x`, both `[4]`; returns the graph.
fn trace(build: impl FnOnce(&Tracer, &Tensor, &Tensor) -> Result<()>) -> Result<Graph> {
    let tracer = Tracer::new(Mode::Train);
    let p = tracer.parameter("p", [4])?;
    let x = tracer.input("x", [4], DType::F32);
    build(&tracer, &p, &x)?;
    Ok(tracer.graph())
}

/// The results and `p` afterwards, for `p = 1, 2, 3, 4` and `x = 10, 20, 30, 40`, plain and optimised alike.
fn run(graph: &Graph) -> (Vec<(String, Reference)>, Reference) {
    let vector = |f: f64| Reference::new(&[4], (1..=4).map(|i| f * f64::from(i)).collect());
    let given = [("p".to_string(), vector(1.0)), ("x".to_string(), vector(10.0))].into();
    let extents = Extents::batch(1);
    for variant in [graph.clone(), optimise(graph)] {
        assert_plan_equals(&Plan::new(variant, extents, |_, _| 0), graph, extents, &given, 1e-12);
    }
    let (outputs, parameters) = simulate(&Plan::new(optimise(graph), extents, |_, _| 0), extents, &given);
    (outputs, parameters["p"].clone())
}

#[test]
fn an_update_waits_for_readers_that_come_later_in_the_trace() {
    let graph = trace(|tracer, p, x| {
        let new = p.assign(x)?;
        tracer.output("new", &new.exp()?.log()?);
        tracer.output("old", &p.mul_scalar(2.0)?);
        Ok(())
    });
    let (outputs, p) = run(&graph.unwrap());
    assert_eq!(outputs[1].1.data, [2.0, 4.0, 6.0, 8.0]);
    assert_eq!(p.data, [10.0, 20.0, 30.0, 40.0]);
    assert!((outputs[0].1.data[3] - 40.0).abs() < 1e-9);
}

#[test]
fn a_view_of_a_new_value_is_not_a_reader_of_the_old_one() {
    let graph = trace(|tracer, p, x| {
        let new = p.assign(x)?.reshape([2, 2])?;
        tracer.output("sum", &new.sum()?);
        tracer.output("view", &new);
        tracer.output("old", &p.reshape([2, 2])?.neg()?);
        Ok(())
    });
    let (outputs, _) = run(&graph.unwrap());
    assert_eq!(outputs[0].1.data, [100.0]);
    assert_eq!(outputs[1].1.data, [10.0, 20.0, 30.0, 40.0]);
    assert_eq!(outputs[2].1.data, [-1.0, -2.0, -3.0, -4.0]);
}

#[test]
fn the_old_value_can_be_a_result() {
    let graph = trace(|tracer, p, x| {
        tracer.output("before", p);
        tracer.output("view", &p.reshape([2, 2])?);
        tracer.output("times one", &p.mul_scalar(1.0)?);
        tracer.output("after", &p.assign(&p.add(x)?)?);
        Ok(())
    });
    let (outputs, p) = run(&graph.unwrap());
    for (name, value) in &outputs[..3] {
        assert_eq!(value.data, [1.0, 2.0, 3.0, 4.0], "{name}");
    }
    assert_eq!(outputs[3].1.data, [11.0, 22.0, 33.0, 44.0]);
    assert_eq!(p.data, [11.0, 22.0, 33.0, 44.0]);
}

#[test]
fn fusion_does_not_carry_the_reading_of_an_old_value_past_its_update() {
    let graph = trace(|tracer, p, x| {
        // Each of these could be computed inside of what reads it, but for the update in between.
        let (twice, same, row) = (p.mul_scalar(2.0)?, p.mul_scalar(1.0)?, p.broadcast_to([2, 4])?);
        let product = x.reshape([4, 1])?.matmul(&p.reshape([1, 4])?)?;
        let new = p.assign(x)?;
        tracer.output("element-wise", &twice.add(&new)?);
        tracer.output("identity", &same.add(&new)?);
        tracer.output("broadcast", &row.sub(&new)?);
        tracer.output("product", &product.add(&new)?);
        Ok(())
    });
    let (outputs, _) = run(&graph.unwrap());
    assert_eq!(outputs[0].1.data, [12.0, 24.0, 36.0, 48.0]);
    assert_eq!(outputs[1].1.data, [11.0, 22.0, 33.0, 44.0]);
    assert_eq!(outputs[2].1.data[..4], [-9.0, -18.0, -27.0, -36.0]);
    assert_eq!(outputs[3].1.data[..4], [20.0, 40.0, 60.0, 80.0]);
}

#[test]
fn what_no_order_can_compute_is_refused() {
    let twice = trace(|_, p, x| p.assign(x)?.tracer().apply(deepfit_graph::ops::Assign, &[p, x]).map(|_| ()));
    let twice = twice.expect_err("updated twice").to_string();
    assert!(twice.contains("assign: the parameter `p` has been updated already"), "{twice}");

    let difference = trace(|tracer, p, x| {
        let new = p.assign(x)?;
        tracer.output("change", &new.sub(p)?);
        Ok(())
    });
    assert!(difference.expect_err("old beside new").to_string().contains("sub: the parameter `p`"));

    let view = trace(|_, p, x| p.assign(x)?.neg()?.reshape([2, 2])?.add(&p.reshape([2, 2])?).map(|_| ()));
    assert!(view.expect_err("old beside new").to_string().contains("add: the parameter `p`"));

    let swap = trace(|tracer, p, _| {
        let q = tracer.parameter("q", [4])?;
        p.assign(&q)?;
        q.assign(p).map(|_| ())
    });
    assert!(swap.expect_err("each waits for the other").to_string().contains("assign: the parameter `p`"));

    let no_parameter = trace(|_, p, x| x.assign(p).map(|_| ()));
    assert!(no_parameter.expect_err("not a parameter").to_string().contains("must be a parameter"));
}

#[test]
fn two_parameters_can_be_exchanged_through_a_copy() {
    let graph = trace(|tracer, p, x| {
        let q = tracer.parameter("q", [4])?;
        let copy = p.mul_scalar(1.0)?;
        p.assign(&q)?;
        q.assign(&copy)?;
        tracer.output("x", x);
        Ok(())
    })
    .unwrap();
    let vector = |f: f64| Reference::new(&[4], vec![f; 4]);
    let given = [("p".to_string(), vector(1.0)), ("q".to_string(), vector(2.0)), ("x".to_string(), vector(3.0))].into();
    for variant in [graph.clone(), optimise(&graph)] {
        let plan = Plan::new(variant, Extents::batch(1), |_, _| 0);
        let (_, parameters) = simulate(&plan, Extents::batch(1), &given);
        assert_eq!((parameters["p"].data[0], parameters["q"].data[0]), (2.0, 1.0));
    }
}

#[test]
fn an_update_runs_behind_the_guards_before_it_only() {
    use deepfit_graph::Op;
    let graph = trace(|tracer, p, x| {
        let first = x.exp()?;
        tracer.guard(&first)?;
        p.assign(x)?;
        let mut later = first;
        for _ in 0..3 {
            later = later.sum()?.tanh()?.add(x)?;
        }
        tracer.guard(&later)?;
        tracer.output("later", &later);
        Ok(())
    });
    let plan = Plan::new(graph.unwrap(), Extents::batch(1), |_, _| 0);
    let kinds: Vec<&str> = plan.order.iter().map(|&i| plan.graph.nodes()[i].op.kind()).collect();
    assert_eq!(kinds[..3], ["Unary", "Guard", "Assign"], "{kinds:?}");
    assert!(matches!(plan.graph.nodes()[*plan.order.last().unwrap()].op, Op::Guard(_)));
}

#[test]
fn what_reads_only_parameters_waits_until_it_is_needed() {
    let graph = trace(|tracer, p, x| {
        let early = p.exp()?;
        let mut last = x.exp()?;
        for _ in 0..3 {
            last = last.tanh()?;
        }
        tracer.output("last", &last);
        p.assign(&early.select(&last, x)?).map(|_| ())
    });
    let plan = Plan::new(graph.unwrap(), Extents::batch(1), |_, _| 0);
    let names: Vec<String> = plan.order.iter().map(|&i| plan.graph.nodes()[i].op.name()).collect();
    assert_eq!(names, ["exp", "tanh", "tanh", "tanh", "exp", "select", "assign"]);
}
