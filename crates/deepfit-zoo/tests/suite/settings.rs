use deepfit_nn::{Activation, Scope};
use deepfit_zoo::{
    CnnConfig, EmbeddingConfig, Head, ImageConfig, MlpConfig, ModelConfig, PeriodicConfig, ResnetConfig, TabmConfig,
    build,
};

fn refused(config: ModelConfig) -> String {
    match build(&config, &Scope::root()) {
        Ok(_) => panic!("{config:?} is possible"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn impossible_settings_are_named() {
    let mlp = || MlpConfig::new(3, 2);
    let image = || ImageConfig::new(8, 8, 1);
    let cnn = || CnnConfig::for_images(image(), 10);
    let resnet = || ResnetConfig::resnet18(image(), 10);
    let table = EmbeddingConfig { categories: 3, width: 0 };
    let tabm = || TabmConfig {
        numeric: 3,
        embeddings: vec![],
        periodic: PeriodicConfig::default(),
        members: 4,
        hidden: vec![5],
        outputs: 2,
        classification: true,
        dropout: 0.0,
    };
    let cases = [
        (ModelConfig::Mlp(MlpConfig { numeric: 0, ..mlp() }), "mlp: `numeric`"),
        (ModelConfig::Mlp(MlpConfig { outputs: 0, ..mlp() }), "mlp: `outputs`"),
        (ModelConfig::Mlp(MlpConfig { hidden: vec![4, 0], ..mlp() }), "mlp: `hidden`"),
        (ModelConfig::Mlp(MlpConfig { dropout: 1.0, ..mlp() }), "mlp: `dropout`"),
        (ModelConfig::Mlp(MlpConfig { embeddings: vec![table], ..mlp() }), "mlp: `embeddings`"),
        (ModelConfig::Cnn(CnnConfig { stages: vec![], ..cnn() }), "cnn: `stages`"),
        (ModelConfig::Cnn(CnnConfig { stages: vec![vec![8], vec![]], ..cnn() }), "cnn: `stages`"),
        (ModelConfig::Cnn(CnnConfig { stages: vec![vec![8]; 5], ..cnn() }), "cnn: `stages`"),
        (ModelConfig::Cnn(CnnConfig { stages: vec![vec![8]; 80], ..cnn() }), "cnn: `stages`"),
        (ModelConfig::Cnn(CnnConfig { dropout: f32::NAN, ..cnn() }), "cnn: `dropout`"),
        (ModelConfig::Cnn(CnnConfig { image: ImageConfig::new(0, 8, 1), ..cnn() }), "cnn: `image`"),
        (ModelConfig::Cnn(CnnConfig { image: image().normalised(vec![0.5; 3], vec![1.0]), ..cnn() }), "cnn: `mean`"),
        (
            ModelConfig::Resnet(ResnetConfig { image: image().normalised(vec![0.5], vec![0.0]), ..resnet() }),
            "resnet: `std`",
        ),
        (ModelConfig::Resnet(ResnetConfig { depths: vec![], widths: vec![], ..resnet() }), "resnet: `depths`"),
        (ModelConfig::Resnet(ResnetConfig { widths: vec![8, 16], ..resnet() }), "resnet: `widths`"),
        (ModelConfig::Resnet(ResnetConfig { outputs: 0, ..resnet() }), "resnet: `outputs`"),
        (ModelConfig::Tabm(TabmConfig { numeric: 0, ..tabm() }), "tabm: `numeric`"),
        (ModelConfig::Tabm(TabmConfig { members: 0, ..tabm() }), "tabm: `members`"),
        (ModelConfig::Tabm(TabmConfig { hidden: vec![], ..tabm() }), "tabm: `hidden`"),
        (
            ModelConfig::Tabm(TabmConfig { periodic: PeriodicConfig { width: 1, ..Default::default() }, ..tabm() }),
            "tabm: `periodic.width`",
        ),
    ];
    for (config, expected) in cases {
        let message = refused(config);
        assert!(message.starts_with(expected), "{expected}: {message}");
    }
}

#[test]
fn settings_are_written_and_read_back() {
    let mut mlp = MlpConfig::new(3, 2);
    mlp.embeddings = vec![EmbeddingConfig::of(12)];
    mlp.activation = Activation::GeluTanh;
    let image = ImageConfig::new(32, 32, 3).normalised(vec![0.1307, 0.5, 0.25], vec![0.3081, 1.0, 0.5]);
    for config in [
        ModelConfig::Mlp(mlp),
        ModelConfig::Cnn(CnnConfig { head: Head::Flatten, ..CnnConfig::for_images(image.clone(), 10) }),
        ModelConfig::Resnet(ResnetConfig::resnet50(image, 1000)),
    ] {
        let text = serde_json::to_string(&config).expect("writes");
        assert!(text.starts_with(&format!("{{\"model_type\":\"{}\"", config.model_type())), "{text}");
        assert_eq!(serde_json::from_str::<ModelConfig>(&text).expect("reads"), config);
    }
    let unknown = r#"{"model_type": "mlp", "numeric": 3, "hidden": [4], "outputs": 2, "droput": 0.1}"#;
    let message = serde_json::from_str::<ModelConfig>(unknown).expect_err("unknown").to_string();
    assert!(message.contains("droput"), "{message}");
}

#[test]
fn embeddings_are_half_as_wide_as_their_columns_have_categories() {
    let widths: Vec<usize> = [1, 2, 4, 7, 20, 1000].iter().map(|&n| EmbeddingConfig::of(n).width).collect();
    assert_eq!(widths, [1, 2, 3, 4, 11, 50]);
}
