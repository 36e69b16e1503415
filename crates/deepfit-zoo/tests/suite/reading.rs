//! From which tokens a text's vector is read.

use deepfit_graph::interpret::{self, Environment};
use deepfit_graph::{DType, Extents, Mode, Reference, Shape, Symbol, Tracer};
use deepfit_zoo::{POOLING, Pooling, READ, pooled};

/// Two texts of three and two tokens, the second with one behind its end that is larger than all.
const HIDDEN: [f64; 12] = [1.0, -4.0, 3.0, -4.0, 2.0, -1.0, 5.0, 7.0, 6.0, 2.0, 9.0, 9.0];

/// The vectors, and how much is read from each token.
fn read(pooling: Pooling) -> (Vec<f64>, Vec<f64>) {
    let tracer = Tracer::new(Mode::Evaluate);
    tracer.watch(POOLING, READ);
    let hidden = Shape::from(vec![Symbol::Batch.into(), Symbol::Sequence.into(), 2.into()]);
    let hidden = tracer.input("hidden", hidden, DType::F32);
    let lengths = tracer.input("lengths", Shape::new(&[Symbol::Batch]), DType::I32);
    let vectors = pooled(pooling, &hidden, &lengths).expect("shapes fit");
    tracer.check_watches().expect("it is offered");
    let given = Environment::from([
        ("hidden".to_string(), Reference::new(&[2, 3, 2], HIDDEN.to_vec())),
        ("lengths".to_string(), Reference::new(&[2], vec![3.0, 2.0])),
    ]);
    let extents = Extents { batch: 2, sequence: 3 };
    let values = interpret::run(&tracer.graph(), extents, &given, &mut Environment::new()).expect("it runs");
    let [(_, read)] = &tracer.watched()[..] else { panic!("one is watched") };
    assert_eq!(values.get(read.value()).shape, [2, 3]);
    (values.get(vectors.value()).data.clone(), values.get(read.value()).data.clone())
}

#[test]
fn a_vector_is_read_from_the_tokens_of_which_it_is_made() {
    for pooling in [Pooling::Cls, Pooling::Last, Pooling::Mean] {
        let (vectors, read) = read(pooling);
        for (i, vector) in vectors.iter().enumerate() {
            let (text, element) = (i / 2, i % 2);
            let of = |token: usize| read[text * 3 + token] * HIDDEN[(text * 3 + token) * 2 + element];
            assert!(((0..3).map(of).sum::<f64>() - vector).abs() < 1e-12, "{pooling:?}: {read:?} {vectors:?}");
        }
    }
    assert_eq!(read(Pooling::Cls).1, [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
    assert_eq!(read(Pooling::Last).1, [0.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
    // The largest of the first element stands in the second token of one text and the second of the other; that of the second in
    // the third and the first.
    assert_eq!(read(Pooling::Max).1, [0.0, 0.5, 0.5, 0.5, 0.5, 0.0]);
}
