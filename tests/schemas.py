"""Schemas as fal and Replicate hand them out, small."""

from typing import Any

#: The OpenAPI document that fal has for one endpoint.
FAL_MODEL = "acme/painter/edit"
#: A community model of Replicate's that trains and runs.
REPLICATE_MODEL = "acme/painter-trainer"
REPLICATE_VERSION = "5" * 64


def fal_openapi(model: str = FAL_MODEL, *, required: tuple[str, ...] = ("prompt", "image_urls"), **fields: Any) -> Any:
    """An endpoint's document; ``fields`` are added to the input, or take a field's place."""
    properties = {
        "prompt": {"type": "string", "title": "Prompt", "maxLength": 500, "description": "What to paint."},
        "image_urls": {"type": "array", "maxItems": 4, "items": {"type": "string"}},
        "image_size": {
            "anyOf": [{"$ref": "#/components/schemas/ImageSize"}, {"type": "string", "enum": ["square", "tall"]}]
        },
        "guidance_scale": {"type": "number", "minimum": 1.5, "maximum": 20},
        "num_images": {"type": "integer", "minimum": 1, "maximum": 4},
        "seed": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "sync_mode": {"type": "boolean"},
        "loras": {"type": "array", "items": {"$ref": "#/components/schemas/LoraWeight"}},
        "webhook_url": {"type": "string"},
        "mood": {"type": "string", "description": "The mood of the picture."},
        **fields,
    }
    size = {"type": "integer", "exclusiveMinimum": 0, "maximum": 14142}
    lora = {"path": {"type": "string"}, "scale": {"type": "number", "minimum": 0, "maximum": 4}}
    reference = {"$ref": "#/components/schemas/EditInput"}
    return {
        "openapi": "3.0.4",
        "info": {"title": "Queue", "x-fal-metadata": {"endpointId": model}},
        "paths": {
            f"/{model}": {"post": {"requestBody": {"content": {"application/json": {"schema": reference}}}}},
            f"/{model}/requests/{{request_id}}/cancel": {"put": {}},
        },
        "components": {
            "schemas": {
                "EditInput": {
                    "type": "object",
                    "x-fal-order-properties": ["prompt", "image_urls"],
                    "properties": properties,
                    "required": list(required),
                },
                "ImageSize": {"type": "object", "properties": {"width": size, "height": size}},
                "LoraWeight": {"type": "object", "properties": lora, "required": ["path"]},
            }
        },
    }


def replicate_model(**fields: Any) -> Any:
    """What Replicate says of a model, with the schema of its latest version; ``fields`` are added to its ``Input``."""
    owner, name = REPLICATE_MODEL.split("/")
    scheduler = {"allOf": [{"$ref": "#/components/schemas/scheduler"}], "default": "DDIM", "x-order": 1}
    inputs = {
        "scheduler": scheduler,
        "prompt": {"type": "string", "x-order": 0},
        "image": {"type": "string", "format": "uri", "x-order": 2},
        "hf_token": {"type": "string", "format": "password", "writeOnly": True, "x-cog-secret": True, "x-order": 3},
        "input_images": {"type": "string", "format": "uri", "x-order": 4},
        **fields,
    }
    training = {
        "input_images": {"type": "string", "format": "uri", "x-order": 0},
        "trigger_word": {"type": "string", "x-order": 1},
        "steps": {"type": "integer", "minimum": 3, "maximum": 6000, "x-order": 2},
    }
    schemas = {
        "Input": {"type": "object", "properties": inputs, "required": ["prompt"]},
        "TrainingInput": {"type": "object", "properties": training, "required": ["input_images"]},
        "scheduler": {"enum": ["DDIM", "K_EULER"], "type": "string", "description": "An enumeration."},
    }
    request = {"type": "object", "properties": {"input": {"$ref": "#/components/schemas/Input"}}}
    predict = {"post": {"requestBody": {"content": {"application/json": {"schema": request}}}}}
    document = {"openapi": "3.0.2", "paths": {"/predictions": predict}, "components": {"schemas": schemas}}
    return {
        "owner": owner,
        "name": name,
        "latest_version": {"id": REPLICATE_VERSION, "cog_version": "0.9", "openapi_schema": document},
    }
