"""Rules for files of the images that have the value of a build setting. Such a file has the name of its target."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")

_MOST_INDEX = 4294967295

def _write(ctx, text):
    output = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(output, text + "\n")
    return [DefaultInfo(files = depset([output]))]

def _rollback_index_file_impl(ctx):
    index = ctx.attr.index[BuildSettingInfo].value
    if index < 0 or index > _MOST_INDEX:
        fail("--%s: %d is not a rollback index; it is a number from 0 to %d" % (ctx.attr.index.label, index, _MOST_INDEX))
    return _write(ctx, ctx.attr.prefix + str(index))

rollback_index_file = rule(
    implementation = _rollback_index_file_impl,
    doc = "A file with the rollback index.",
    attrs = {
        "index": attr.label(doc = "The build setting with it.", mandatory = True, providers = [BuildSettingInfo]),
        "prefix": attr.string(doc = "Text before it, such as the name of an argument."),
    },
)

def _is_date(text):
    parts = text.split("-")
    return [len(part) for part in parts] == [4, 2, 2] and "".join(parts).isdigit() and \
           1 <= int(parts[1]) and int(parts[1]) <= 12 and 1 <= int(parts[2]) and int(parts[2]) <= 31

def _release_date_file_impl(ctx):
    date = ctx.attr.date[BuildSettingInfo].value
    if date and not _is_date(date):
        fail("--%s: %r is not a date; it is written as 2030-12-31" % (ctx.attr.date.label, date))
    return _write(ctx, date)

release_date_file = rule(
    implementation = _release_date_file_impl,
    doc = "A file with the date of the release; an empty line if none is set.",
    attrs = {"date": attr.label(doc = "The build setting with it.", mandatory = True, providers = [BuildSettingInfo])},
)
