"""Configuration files: what loads, what is said of what doesn't, what overrides do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from oaml_callbacks.config import ConfigError, RunConfig, load_config
from oaml_callbacks.train_setup import training_arguments
from oaml_callbacks.yaml_lines import parse_value

CONFIGS = Path(__file__).parent.parent / "configs"

# Every key that a configuration file of openadapt-ml 0.17.0 has.
OPENADAPT = """
model:
  name: Qwen/Qwen3-VL-2B-Instruct  # a comment
  load_in_4bit: true
  max_pixels: 262144

lora:
  r: 8
  lora_alpha: 16
  lora_dropout: 0.05
  bias: none
  target_modules:
    - q_proj
    - v_proj
  task_type: CAUSAL_LM
  weights_path: checkpoints/adapter

synthetic_data:
  num_sessions: 32
  seed: 123
  output_dir: synthetic_train
  use_som: true
  scenario: registration

training:
  num_train_epochs: 5
  per_device_train_batch_size: 1
  gradient_accumulation_steps: 4
  learning_rate: 5.0e-5
  warmup_ratio: 0.1
  weight_decay: 0.01
  max_grad_norm: 0.5
  logging_steps: 1
  lr_scheduler_type: linear
  save_strategy: epoch
  early_stop_loss: 1.0
  early_stop_patience: 5
  early_stop_min_delta: 0.1
  early_stop_plateau_patience: 5
"""


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def load(text: str, *overrides: str) -> RunConfig:
        file = tmp_path / "run.yaml"
        file.write_text(text)
        return load_config(file, overrides)

    return load


@pytest.fixture
def mistakes(load: Any) -> Any:
    """The lines of the error that a configuration makes, without the folder of the file."""

    def mistakes(text: str, *overrides: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(text, *overrides)
        return [line.rsplit("/", 1)[-1] if line.startswith("/") else line for line in str(caught.value).splitlines()]

    return mistakes


class TestLoading:
    def test_openadapt_ml_form_loads_unchanged(self, load: Any) -> None:
        config = load(OPENADAPT)
        assert config.lora.weights_path == "checkpoints/adapter"
        assert config.early_stopping.early_stop_min_delta == 0.1
        assert config.training["learning_rate"] == 5e-5
        assert config.synthetic_data is not None
        assert config.synthetic_data.scenario == "registration"

    @pytest.mark.parametrize(
        "file", sorted(set(CONFIGS.glob("*.yaml")) - set(CONFIGS.glob("*-sweep.yaml"))), ids=lambda file: file.name
    )
    def test_shipped_files_load(self, file: Path) -> None:
        config = load_config(file)
        assert config.training["metric_for_best_model"] == "grounding_accuracy"

    def test_exponent_without_a_dot_is_a_number(self, load: Any) -> None:
        assert load("model: {name: m}\ntraining: {learning_rate: 5e-4}").training == {"learning_rate": 5e-4}
        # Other users of PyYAML in the process keep what they had.
        assert yaml.safe_load("5e-4") == "5e-4"
        assert [parse_value(text) for text in ("1E5", "-.5e+3", "5e", "1e4x")] == [1e5, -500.0, "5e", "1e4x"]

    def test_bare_no_is_a_strategy(self, load: Any) -> None:
        assert load("model: {name: m}\ntraining: {save_strategy: no}").training == {"save_strategy": "no"}

    def test_merged_keys_are_no_repeated_ones(self, load: Any) -> None:
        config = load("model: &base {name: m, max_pixels: 9}\nlora: {r: 4}\nwandb: {notes: x}\n", "lora.r=8")
        assert (config.model.max_pixels, config.lora.r) == (9, 8)
        config = load("model: {<<: {name: m, max_pixels: 9}, max_pixels: 16}")
        assert config.model.max_pixels == 16

    def test_empty_section_has_its_defaults(self, load: Any) -> None:
        assert load("model: {name: m}\nlora:\ngrounding:").lora.r == 16

    def test_what_is_kept_of_it_holds_no_token(self, load: Any) -> None:
        given = load("model: {name: m}\ntraining: {hub_token: secret, max_steps: 3, early_stop_loss: 1.0}").as_given()
        assert "secret" not in str(given)
        assert given["training"]["max_steps"] == 3
        assert given["training"]["early_stop_loss"] == 1.0

    def test_settings_without_effect_are_told(self, load: Any) -> None:
        config = load("model: {name: m}\ntraining: {max_seq_length: 4096}\nlora: {finetune_vision_layers: true}")
        assert len(config.notices()) == 2


class TestMistakes:
    def test_unknown_key_names_the_nearest(self, mistakes: Any) -> None:
        assert mistakes("model:\n  name: m\ntraining:\n  lerning_rate: 1e-4") == [
            "run.yaml, line 4: training.lerning_rate: there is no such key; did you mean training.learning_rate?"
        ]

    def test_key_of_another_section_is_found_there(self, mistakes: Any) -> None:
        assert mistakes("model: {name: m}\ntraining:\n  lora_dropout: 0.1") == [
            "run.yaml, line 3: training.lora_dropout: there is no such key; did you mean lora.lora_dropout?"
        ]

    def test_unknown_section(self, mistakes: Any) -> None:
        lines = mistakes("model: {name: m}\ntrainin: {max_steps: 3}\nlearning_rate: 3\nzzz: 1")
        assert lines == [
            "run.yaml, line 2: trainin: there is no such section; did you mean training?",
            "run.yaml, line 3: learning_rate: there is no such section; did you mean training.learning_rate?",
            "run.yaml, line 4: zzz: there is no such section",
        ]

    @pytest.mark.parametrize(
        ("setting", "said"),
        [
            ("training: {max_steps: ten}", "max_steps: expected a whole number, found 'ten' (text)"),
            ("training: {max_steps: true}", "max_steps: expected a whole number, found true (true or false)"),
            ("training: {learning_rate: '5e-4'}", "learning_rate: expected a number, found '5e-4' (text)"),
            ("training: {bf16: 1}", "bf16: expected true or false, found 1 (a whole number)"),
            ("training: {warmup_ratio: 2}", "warmup_ratio: expected a number less than 1, found 2 (a whole number)"),
            ("training: {optim: adamw_torhc}", "did you mean adamw_torch?"),
            ("lora: {r: 0}", "lora.r: expected a whole number greater than 0, found 0 (a whole number)"),
            ("lora: {target_modules: 3}", "expected a list of texts or text, found 3 (a whole number)"),
            ("lora: {bias: lora}", "expected one of none, all, lora_only, found 'lora' (text)"),
            ("lora: 16", "lora: expected a mapping of settings, found 16 (a whole number)"),
            ("wandb: {run_name: 2024}", "wandb.run_name: expected text, found 2024 (a whole number)"),
        ],
    )
    def test_wrong_value(self, mistakes: Any, setting: str, said: str) -> None:
        (line,) = mistakes(f"model: {{name: m}}\n{setting}")
        assert line.startswith("run.yaml, line 2: ")
        assert said in line

    def test_all_are_reported_in_the_files_order(self, mistakes: Any) -> None:
        lines = mistakes("lora: {rr: 1}\nmodel:\n  nam: m\ntraining:\n  max_steps: x\n", "wandb.tag=[a]")
        assert [line.split(": ")[0] for line in lines] == [
            "run.yaml, line 1",
            "run.yaml, line 2",
            "run.yaml, line 3",
            "run.yaml, line 5",
            "wandb.tag=[a] (command line)",
        ]

    def test_model_name_is_needed(self, mistakes: Any) -> None:
        assert mistakes("lora: {r: 4}") == ["run.yaml: model.name: this key is needed and isn't there"]

    def test_repeated_keys(self, mistakes: Any) -> None:
        lines = mistakes("model: {name: m}\nlora:\n  r: 4\n  r: 8\nwandb: {notes: a, notes: b}\nmodel: {name: n}\n")
        assert [line.split(";")[0] for line in lines] == [
            "run.yaml, line 4: lora.r: this key is given twice, first in line 3",
            "run.yaml, line 5: wandb.notes: this key is given twice, first in line 5",
            "run.yaml, line 6: model: this key is given twice, first in line 1",
        ]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("model: [", "line 1, column 9"),
            ("model:\n\tname: m", "line 2, column 1"),
            ("", "expected sections such as 'model:', found nothing"),
            ("- model", "found a list"),
        ],
    )
    def test_no_yaml_mapping(self, mistakes: Any, text: str, said: str) -> None:
        (line,) = mistakes(text)
        assert said in line

    def test_file_that_cannot_be_read(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="No such file"):
            load_config(tmp_path / "none.yaml")
        (tmp_path / "latin.yaml").write_bytes(b"model: {name: caf\xe9}")
        with pytest.raises(ConfigError, match="not UTF-8"):
            load_config(tmp_path / "latin.yaml")


class TestOverrides:
    def test_every_section_is_reached(self, load: Any) -> None:
        config = load(
            OPENADAPT,
            "training.max_steps=20",
            "lora.r=16",
            "wandb.tags=[a,b]",
            "model.load_in_4bit=false",
            "grounding.baseline=false",
            "training.accelerator_config.split_batches=true",
            "training.learning_rate=1e-4",
        )
        assert config.training["max_steps"] == 20
        assert config.training["learning_rate"] == 1e-4
        assert config.training["accelerator_config"] == {"split_batches": True}
        assert (config.lora.r, config.wandb.tags, config.model.load_in_4bit) == (16, ["a", "b"], False)
        assert not config.grounding.baseline

    def test_bare_key_of_one_section(self, load: Any) -> None:
        config = load(OPENADAPT, "max_steps=20", "weights_path=there")
        assert (config.training["max_steps"], config.lora.weights_path) == (20, "there")

    def test_bare_key_of_several_sections_lists_them(self, mistakes: Any) -> None:
        assert mistakes(OPENADAPT, "seed=4") == [
            "seed=4 (command line): seed: 3 sections have this key; write one of demo_data.seed, synthetic_data.seed, "
            "training.seed"
        ]

    def test_mistakes_in_overrides(self, mistakes: Any) -> None:
        lines = mistakes(OPENADAPT, "max_stps=3", "training.max_stps=3", "lora.r=big", "lora.r=[1")
        assert (
            lines[0]
            == "max_stps=3 (command line): max_stps: no section has this key; did you mean training.max_steps?"
        )
        assert any("lora.r=big (command line): lora.r: expected a whole number" in line for line in lines)
        assert any("did you mean training.max_steps?" in line for line in lines[1:])
        assert any("'[1' is no YAML value" in line for line in lines)


class TestPaths:
    def test_in_the_file_they_are_relative_to_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "configs" / "base").mkdir(parents=True)
        file = tmp_path / "configs" / "run.yaml"
        file.write_text("model: {name: ./base}\ndata: {train: rows.jsonl}")
        monkeypatch.chdir(tmp_path)
        config = load_config("configs/run.yaml")
        assert config.input_path("rows.jsonl") == Path("configs/rows.jsonl")
        assert Path(config.model_source()) == Path("configs/base")

    def test_on_the_command_line_to_the_current_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "configs").mkdir()
        (tmp_path / "base").mkdir()
        file = tmp_path / "configs" / "run.yaml"
        file.write_text("model: {name: Qwen/m}\ndata: {train: rows.jsonl}")
        monkeypatch.chdir(tmp_path)
        config = load_config(file, ["data.train=mine.jsonl", "model.name=base"])
        assert config.data.train is not None
        assert config.input_path(config.data.train).resolve() == tmp_path / "mine.jsonl"
        assert Path(config.model_source()).resolve() == tmp_path / "base"

    def test_a_hub_id_stays_one(self, load: Any) -> None:
        assert load("model: {name: Qwen/Qwen3-VL-2B-Instruct}").model_source() == "Qwen/Qwen3-VL-2B-Instruct"

    def test_a_folder_that_is_not_there(self, load: Any) -> None:
        with pytest.raises(ConfigError, match=r"there is no folder .*nowhere"):
            load("model: {name: ./nowhere}").model_source()


class TestTrainingArguments:
    @staticmethod
    def of(load: Any, *overrides: str, grounds: bool = True, evaluates: bool = True) -> Any:
        config = load("model: {name: m}", *overrides)
        return training_arguments(config, wandb=False, evaluates=evaluates, grounds=grounds)

    @pytest.mark.parametrize(
        ("overrides", "steps"),
        [
            ([], 3),
            (["warmup_ratio=0.1"], 10),
            (["warmup_steps=0.2"], 20),
            (["warmup_steps=7", "warmup_ratio=0.5"], 7),
            (["warmup_steps=0"], 0),
            (["warmup_ratio=0"], 0),
        ],
    )
    def test_warmup_in_either_form(self, load: Any, overrides: list[str], steps: int) -> None:
        assert self.of(load, *overrides).get_warmup_steps(100) == steps

    def test_what_is_left_out_is_as_in_openadapt_ml(self, load: Any) -> None:
        args = self.of(load)
        assert (args.num_train_epochs, args.learning_rate, args.lr_scheduler_type) == (3, 2e-4, "cosine")
        assert (args.save_strategy, args.eval_strategy, args.report_to) == ("epoch", "epoch", [])
        assert args.remove_unused_columns is False

    def test_evaluations_follow_the_checkpoints(self, load: Any) -> None:
        args = self.of(load, "save_steps=7")
        assert (args.save_strategy, args.eval_strategy, args.eval_steps) == ("steps", "steps", 7)

    def test_best_model_is_the_one_that_clicks_best(self, load: Any) -> None:
        assert self.of(load).metric_for_best_model == "grounding_accuracy"
        assert self.of(load, "metric_for_best_model=grounding_distance").greater_is_better is False
        assert self.of(load, grounds=False).metric_for_best_model is None

    @pytest.mark.parametrize(
        ("overrides", "options", "said"),
        [
            (["metric_for_best_model=grounding_acuracy"], {}, "did you mean grounding_accuracy"),
            (["metric_for_best_model=grounding_accuracy"], {"grounds": False}, "answers that point somewhere"),
            (["eval_strategy=epoch"], {"evaluates": False}, "data.eval isn't given"),
            (["remove_unused_columns=true"], {}, "must be false"),
            (["report_to=wandbb"], {}, "did you mean wandb"),
            (["save_steps=3", "eval_steps=2", "load_best_model_at_end=true"], {}, "multiple"),
        ],
    )
    def test_contradictions(self, load: Any, overrides: list[str], options: dict[str, bool], said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            self.of(load, *overrides, **options)

    def test_gradient_checkpointing_keeps_the_adapters_gradients(self, load: Any) -> None:
        args = self.of(load, "gradient_checkpointing=true")
        assert args.gradient_checkpointing
        assert args.gradient_checkpointing_kwargs == {"use_reentrant": False}


def test_keys_that_yaml_reads_as_no_text_are_told_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("model: {name: x}\nlora: {1: x}\nwandb:\n  on: true\n")
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert "lora.1" in str(error.value)
    assert "line 4" in str(error.value)


def test_a_path_that_is_typed_is_found_though_the_configurations_folder_is_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deep" / "real").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "real")
    (tmp_path / "link" / "run.yaml").write_text("model: {name: x}\n")
    monkeypatch.chdir(tmp_path)
    config = load_config(Path("link/run.yaml"), ["data.train=rows.jsonl"])
    assert config.data.train is not None
    assert config.input_path(config.data.train) == tmp_path / "rows.jsonl"
