"""The rule target_tags: what tags targets have, for tests."""

_TagsInfo = provider(doc = "Tags of a target.", fields = {"tags": "List of strings."})

_tags = aspect(
    implementation = lambda _, ctx: [_TagsInfo(tags = ctx.rule.attr.tags)],
    doc = "Reads the tags of a target.",
)

def _target_tags_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".json")
    ctx.actions.write(output, json.encode({str(target.label): target[_TagsInfo].tags for target in ctx.attr.targets}))
    return [DefaultInfo(files = depset([output]))]

target_tags = rule(
    implementation = _target_tags_impl,
    doc = "Writes the tags of targets as a JSON object by label.",
    attrs = {"targets": attr.label_list(aspects = [_tags], doc = "The targets.", mandatory = True)},
)
