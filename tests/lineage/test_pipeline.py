"""Our reading of dvc.yaml is DVC's."""

import pytest

from ocrrl.lineage.reading.pipeline import pipeline_stages, stage_of_command
from ocrrl.lineage.reading.revision import Revision


@pytest.mark.parametrize(("name", "folder"), [("toy", "project"), ("ours", "ours")])
def test_every_stage_has_the_address_command_deps_and_outs_that_dvc_finds(name, folder, history, told_by_dvc):
    stages = pipeline_stages(Revision(history / folder).read)
    found = {
        address: {"command": stage.command, "deps": sorted(stage.deps), "outs": sorted(stage.outs)}
        for address, stage in stages.items()
    }
    assert found == told_by_dvc[name]


def resolved(text, params="{}"):
    return pipeline_stages({"dvc.yaml": text, "params.yaml": params}.get)


def test_templates_reach_lists_lists_of_mappings_and_values_inside_words():
    stages = resolved(
        "vars: [{sizes: [1, 2], flag: true}]\n"
        "stages:\n"
        "  a: {foreach: '${sizes}', do: {cmd: 'x ${item} ${flag} \\${HOME}', outs: [{'o${item}': {cache: false}}]}}\n"
        "  b: {foreach: [{n: p}, {n: q}], do: {cmd: 'y ${item.n}', wdir: sub, deps: [../in]}}\n"
        "  c: {matrix: {m: '${list}', s: [{k: 1}]}, cmd: ['z ${item.m}', 'w ${key}']}\n",
        "list: [u, v]",
    )
    assert {address: stage.command for address, stage in stages.items()} == {
        "a@1": "x 1 true ${HOME}",
        "a@2": "x 2 true ${HOME}",
        "b@0": "y p",
        "b@1": "y q",
        "c@u-s0": "z u && w u-s0",
        "c@v-s0": "z v && w v-s0",
    }
    assert stages["a@1"].outs == ("o1",) and stages["b@0"].deps == ("in",)


def test_a_file_that_holds_no_mapping_is_named_and_an_empty_one_holds_nothing():
    assert resolved("") == {}
    with pytest.raises(ValueError, match=r"^dvc\.yaml must hold a mapping, got list$"):
        resolved("- a")


def test_a_template_without_a_value_is_named_with_what_there_is():
    with pytest.raises(ValueError, match=r"dvc.yaml: \$\{x.z\} must name a value, got z among y"):
        resolved("stages: {a: {cmd: '${x.z}'}}", "x: {y: 1}")
    with pytest.raises(ValueError, match=r"dvc.yaml must be YAML"):
        resolved("stages: {a: [")


def test_a_command_line_finds_its_stage(history):
    stages = pipeline_stages(Revision(history / "ours").read)

    def find(**options):
        return stage_of_command(stages, "ocrrl", {"tabletop_task": "cube_lift", "round": "round0"} | options)

    assert find(command="finetune", domain="real") == "finetune@cube_lift-real"
    assert find(command="train_residual", seed=0, domain=None) == "train_residual@cube_lift-0"
    assert find(command="record") == "record@cube_lift"
    assert find(command="train_residual", seed=99) is None
    assert find(command="record", tabletop_task="juggle") is None
    assert find(command="finetune", domain="real", round="round7") is None
