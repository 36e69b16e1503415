//! Mistakes in calls that return no error: whoever goes on with the trace is told of them.

use deepfit_graph::{
    DType, Extents, GraphError, HostData, HostTensor, MOST_BYTES, Mode, RANDOM_KEY, Tracer, gradients, interpret,
};

/// That `apply`, `check`, the watches and the interpreter all tell the same mistake, which says `parts`.
#[track_caller]
fn told(tracer: &Tracer, parts: &[&str]) {
    let error = tracer.check().expect_err("a mistake was made");
    for part in parts {
        assert!(error.to_string().contains(part), "`{error}` does not say `{part}`");
    }
    assert_eq!(tracer.scalar(1.0).neg().expect_err("nothing more may be applied"), error);
    assert_eq!(tracer.check_watches().expect_err("no step may be made"), error);
    assert_eq!(tracer.graph().problem(), Some(&error));
    assert_eq!(tracer.graph().check(&Extents::batch(1)), Err(error.clone()));
    let run = interpret::run(&tracer.graph(), Extents::batch(1), &Default::default(), &mut Default::default());
    assert_eq!(run.expect_err("nothing may be interpreted"), error.to_string());
}

#[test]
fn an_array_has_as_many_values_as_its_shape_says() {
    let few = HostTensor::new(&[100_000], HostData::F32(vec![0.0; 3]));
    assert_eq!(few, Err(GraphError::Values { shape: vec![100_000], given: 3 }));
    assert_eq!(few.unwrap_err().to_string(), "3 values do not fill an array of shape [100000]");
    // Products that overflow to the number of values.
    for shape in [&[1 << 32, 1 << 32][..], &[1 << 63, 2], &[usize::MAX, usize::MAX, 0]] {
        assert!(HostTensor::new(shape, HostData::I32(Vec::new())).is_err(), "{shape:?}");
    }
    let bytes = HostTensor::new(&[2, 0], HostData::U8(Vec::new())).unwrap();
    assert_eq!((bytes.shape(), bytes.dtype(), bytes.data().len()), (&[2, 0][..], DType::U8, 0));
}

#[test]
#[should_panic(expected = "3 values do not fill an array of shape [2, 2]")]
fn an_array_made_without_a_result_says_what_is_wrong() {
    HostTensor::f32(&[2, 2], vec![0.0; 3]);
}

#[test]
fn a_name_with_two_types_is_a_mistake() {
    let tracer = Tracer::new(Mode::Train);
    tracer.input("x", [2, 3], DType::F32);
    tracer.input("x", [3, 2], DType::F32);
    told(&tracer, &["`x` is used twice", "[2, 3]", "[3, 2]"]);
    let tracer = Tracer::new(Mode::Train);
    tracer.batch("x", &[3], DType::F32);
    tracer.batch("x", &[3], DType::I32);
    told(&tracer, &["`x` is used twice", "[batch, 3]", "i32 [batch, 3]"]);
    let tracer = Tracer::new(Mode::Train);
    tracer.input(RANDOM_KEY, [5], DType::I32);
    tracer.random_key();
    told(&tracer, &["`random_key` is used twice", "i32 [4]", "i32 [5]"]);
}

#[test]
fn an_input_asked_for_twice_is_one_value() {
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.input("x", [2], DType::F32);
    assert_eq!(tracer.input("x", [2], DType::F32).value(), x.value());
    assert_eq!(tracer.check(), Ok(()));
    // By the operation itself, too.
    let ty = x.ty().clone();
    let again = tracer.apply_one(deepfit_graph::ops::Input { name: "x".to_string(), ty }, &[]).unwrap();
    assert_eq!(again.value(), x.value());
    let w = tracer.parameter("w", [2]).unwrap();
    let (name, ty) = ("w".to_string(), w.ty().clone());
    let again = tracer.apply_one(deepfit_graph::ops::Parameter { name, ty }, &[]).unwrap();
    assert_eq!(again.value(), w.value());
}

#[test]
fn an_output_name_given_twice_is_a_mistake() {
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.input("x", [2], DType::F32);
    tracer.output("y", &x);
    tracer.output("y", &x.neg().unwrap());
    told(&tracer, &["`y` is used twice", "outputs"]);
}

#[test]
fn an_output_of_another_graph_is_a_mistake() {
    let (tracer, other) = (Tracer::new(Mode::Train), Tracer::new(Mode::Train));
    tracer.input("x", [2], DType::F32);
    let foreign = other.input("x", [2, 3], DType::F32).neg().unwrap();
    tracer.output("o", &foreign);
    told(&tracer, &["output `o`", "[2, 3]", "different graphs"]);
    assert_eq!(other.check(), Ok(()));
}

#[test]
fn a_gradient_with_respect_to_a_value_of_another_graph_is_refused() {
    let (tracer, other) = (Tracer::new(Mode::Train), Tracer::new(Mode::Train));
    let w = tracer.parameter("w", [3]).unwrap();
    let foreign = other.parameter("v", [3]).unwrap();
    let loss = w.square().unwrap().sum().unwrap();
    let error = gradients(&loss, &[w, foreign]).unwrap_err();
    assert!(matches!(error, GraphError::ForeignValue { .. }), "{error}");
    assert!(error.to_string().contains("`v`") && error.to_string().contains("different graphs"), "{error}");
}

#[test]
fn a_leaf_that_no_memory_could_hold_is_a_mistake() {
    let tracer = Tracer::new(Mode::Train);
    tracer.batch("x", &[1 << 40, 1 << 40], DType::F32);
    told(&tracer, &["x", "[batch, 1099511627776, 1099511627776]", "memory"]);
    let tracer = Tracer::new(Mode::Train);
    let error = tracer.in_layer("words", || tracer.parameter("weight", [usize::MAX, 4])).unwrap_err();
    assert!(error.to_string().starts_with("words: weight: "), "{error}");
    assert!(error.to_string().contains("[18446744073709551615, 4]"), "{error}");
    assert!(tracer.parameter("large", [MOST_BYTES / 4]).is_ok());
    assert!(tracer.parameter("too large", [MOST_BYTES / 4 + 1]).is_err());
}
