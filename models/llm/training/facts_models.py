"""Facts about the models, classical and language, and how to bring others."""

from __future__ import annotations

from models.llm.training.fact import Fact

# fmt: off
MODELS: tuple[Fact, ...] = (
    Fact(
        "models",
        "Tandem comes with iris (scikit-learn), digits (torch) and fraud (XGBoost), and with the embedded language model.",
        "iris (scikit-learn)",
        tasks=(
            "see which models there are", "list the classifiers",
        ),
        things=(
            "the list of models", "the classical models", "the built-in models", "the models that come with Tandem",
            "the included models", "the shipped models",
        ),
        questions=(
            "Which models come with Tandem?", "Which models are served?", "Which classifiers are there?",
            "Which frameworks does Tandem use?", "How many models are there?", "What models do you have?",
            "What models are there?", "Which models ship with Tandem?", "Which models are included?",
            "Name the models.", "Which models can I call?", "What classifiers does Tandem have?",
            "Which models are built in?", "What are the three classical models?",
        ),
    ),
    Fact(
        "iris",
        "The iris model tells setosa, versicolor and virginica apart by sepal and petal length and width in cm. It uses scikit-learn.",
        "sepal and petal",
        things=(
            "the iris model", "the features of iris", "the input of the iris model", "the labels of iris",
            "the inputs of iris", "the iris classifier", "the species of the iris model",
        ),
        questions=(
            "Which features does iris need?", "What does the iris model predict?", "Which species does iris know?",
            "In which unit are petal lengths?", "What does iris need as input?",
            "What are the features of the iris model?", "Which flowers does iris know?",
            "Which labels does the iris model have?", "What inputs does iris have?", "How many features has iris?",
            "What can the iris model tell apart?",
        ),
    ),
    Fact(
        "digits",
        "The digits model is a small torch network that reads a handwritten digit, 0 to 9, from an image of 8 by 8 pixels.",
        "8 by 8",
        things=(
            "the digits model", "the input of digits", "the size of the digit images", "the digit classifier",
            "the digits classifier", "the image size of digits", "the handwriting model",
        ),
        questions=(
            "What does the digits model predict?", "How large is a digits image?", "Can Tandem read handwriting?",
            "Which model reads images?", "What size has a digits image?",
            "How many pixels does the digits model need?", "What is digits for?", "What image does digits expect?",
            "What does digits do?", "Does the digits model use torch?", "Which model recognises digits?",
        ),
    ),
    Fact(
        "fraud",
        "The fraud model, made with XGBoost, says whether a card payment is legitimate or fraud. Its training data is synthetic.",
        "synthetic",
        things=(
            "the fraud model", "the data of the fraud model", "the labels of fraud", "the fraud detector",
            "the fraud classifier", "the training data of fraud", "the payments that fraud was trained on",
        ),
        questions=(
            "What does the fraud model predict?", "Is the fraud data real?", "On what data is fraud trained?",
            "Which model uses XGBoost?", "Are the card payments real?", "Are the transactions real?",
            "Was fraud trained on real data?", "Where do the payments come from?", "What is the fraud model for?",
            "Which labels does fraud have?", "Is the training data of fraud synthetic?", "What does fraud detect?",
        ),
    ),
    Fact(
        "add model",
        "Save it with `models.save.save`, or store an ONNX file with `make model-add`; docs/models.md shows both.",
        "make model-add",
        tasks=(
            "add a model", "add my own classifier", "serve my own model", "add a new classical model",
            "register a model", "plug in another model", "bring my own scikit-learn model",
        ),
        things=(
            "a ModelSpec", "an Engine", "the way to add a model", "the steps for a new model", "my own model",
            "adding a model",
        ),
        questions=(
            "What do I write for a new model?", "Can I serve my own model?", "Which code does a new classifier need?",
            "How do I add another model?", "What are the steps to add a model?", "How is a new model added?",
            "What must I write to add a model?", "Can I add a classifier of my own?",
            "How can my scikit-learn model be served?", "What does adding a model take?",
            "How do I get my own model into Tandem?",
        ),
    ),
    Fact(
        "attributions",
        "Attributions are exact for the linear model, TreeSHAP for XGBoost and integrated gradients for torch.",
        "TreeSHAP",
        tasks=(
            "compute attributions", "see how features are weighted",
        ),
        things=(
            "an attribution", "the attribution method", "the method behind the explanations", "TreeSHAP",
            "the attributions", "SHAP", "the way attributions are computed",
        ),
        questions=(
            "How are attributions computed?", "Where do the feature weights come from?", "Does Tandem use SHAP?",
            "How do you know which feature counts most?", "How does Tandem compute attributions?", "Is it SHAP?",
            "How is the weight of a feature found?", "Which method gives the attributions?",
            "How are feature contributions worked out?", "Are the attributions exact?",
            "What explains the XGBoost model?", "Do you use integrated gradients?", "Which algorithm explains predictions?",
            "How are the reasons of a prediction found?", "How does Tandem know why a model decided so?",
            "What are the attributions based on?", "How is feature importance computed?", "Is feature importance exact?",
            "Which explanation method is used for fraud?", "How are torch models explained?", "How are XGBoost models explained?",
            "How does Tandem weigh features?", "Where do attributions come from?",
        ),
    ),
    Fact(
        "swap llm",
        "Set TANDEM_LLM__MODEL to a hub id or a local folder and start Tandem again. vLLM then serves that model.",
        "TANDEM_LLM__MODEL",
        tasks=(
            "swap the LLM", "use another language model", "change the LLM", "replace the embedded model",
            "serve a larger language model", "point Tandem at Llama", "use Qwen", "serve a model from the hub",
            "load a local LLM", "use a bigger model", "switch to Mistral", "use a model from Hugging Face",
        ),
        things=(
            "the setting for the LLM", "the way to a better language model", "another LLM", "a larger LLM",
            "the model setting",
        ),
        questions=(
            "Can I use a different LLM?", "Which setting chooses the language model?", "Can Tandem serve Llama?",
            "Where do I set the LLM?", "How do I change the language model?", "How do I replace the embedded LLM?",
            "How can the LLM be exchanged?", "Can I serve a larger LLM?", "How do I serve my own LLM?",
            "How do I load a model from Hugging Face?", "Can I use a local folder as LLM?",
            "Which variable names the LLM?", "I want a better language model.", "How do I get a smarter LLM?",
        ),
    ),
    Fact(
        "quantization",
        "Set TANDEM_LLM__QUANTIZATION to vLLM's name of the method, such as awq, gptq or fp8.",
        "TANDEM_LLM__QUANTIZATION",
        tasks=(
            "serve a quantized model", "use AWQ", "use fp8", "use a GPTQ model", "set the quantization",
            "quantize the LLM",
        ),
        things=(
            "the quantization setting", "quantization", "AWQ", "fp8", "the setting for quantization",
        ),
        questions=(
            "Does Tandem support quantized models?", "Can I load an AWQ model?", "How do I serve an AWQ model?",
            "How is quantization set?", "Which setting turns on quantization?", "Can the LLM be quantized?",
            "Is GPTQ supported?", "Is fp8 possible?",
        ),
    ),
    Fact(
        "lora",
        "List the adapters in TANDEM_LLM__LORA_MODULES; each is served as a model of its own name.",
        "TANDEM_LLM__LORA_MODULES",
        tasks=(
            "use a LoRA adapter", "serve LoRA adapters", "load an adapter", "add a LoRA",
        ),
        things=(
            "LoRA support", "the LoRA setting", "the adapters", "LoRA", "the adapter setting", "LoRA adapters",
        ),
        questions=(
            "Does Tandem support LoRA?", "Can I serve several adapters?", "Can I use my fine-tuned adapter?",
            "How do I configure LoRA?", "How are adapters set up?", "Can Tandem serve LoRA adapters?",
            "I have an adapter, what now?", "Where do I list LoRA adapters?", "Are LoRA adapters supported?",
        ),
    ),
    Fact(
        "several gpus",
        "Set TANDEM_LLM__TENSOR_PARALLEL_SIZE to the number of GPUs over which the LLM is to be split.",
        "TANDEM_LLM__TENSOR_PARALLEL_SIZE",
        tasks=(
            "use several GPUs", "split the LLM over two GPUs", "use four GPUs", "set tensor parallelism",
            "use more than one GPU", "shard the model",
        ),
        things=(
            "tensor parallelism", "the multi GPU setting", "the number of GPUs", "the setting for several GPUs",
            "tensor parallel size",
        ),
        questions=(
            "Can the LLM run on several GPUs?", "Does Tandem support tensor parallelism?", "How do I use two GPUs?",
            "How is the LLM spread over GPUs?", "How do I set tensor parallelism?",
            "I have eight GPUs, how do I use them all?", "Which setting is the number of GPUs?",
            "Can I split the model over GPUs?",
        ),
    ),
    Fact(
        "context",
        "Set TANDEM_LLM__MAX_MODEL_LEN, in tokens. Without it the model's own context length holds, and a longer prompt gets 400.",
        "TANDEM_LLM__MAX_MODEL_LEN",
        tasks=(
            "change the context length", "set the context window", "allow longer prompts", "limit the context",
        ),
        things=(
            "the context length", "the context window", "the longest prompt", "the token limit",
            "the setting for the context length", "the maximum context", "the prompt length",
        ),
        questions=(
            "How long may a prompt be?", "What happens when the prompt is too long?", "How many tokens fit?",
            "How do I set the context length?", "How long can the context be?", "My prompt does not fit.",
            "Can I make the context longer?", "The prompt is too long, what can I do?",
            "Which setting limits the context?", "What is the maximum prompt length?",
            "How big is the context window?", "How many tokens can the LLM read?", "Can prompts be longer?",
            "I get 400 for a long prompt.", "What limits the length of a prompt?", "How many tokens may I send?",
            "Which variable sets the maximum model length?", "What is max_model_len?", "How large may the context get?",
            "Is there a token limit?", "Where is the context length set?", "How do I raise the token limit?",
        ),
    ),
    Fact(
        "vllm arguments",
        "Give any other vLLM option in TANDEM_LLM__EXTRA_ARGS, as on the command line of `vllm serve`.",
        "TANDEM_LLM__EXTRA_ARGS",
        tasks=(
            "pass an option to vLLM", "set other vLLM arguments", "give vLLM a flag", "set a vLLM option",
        ),
        things=(
            "the vLLM options", "the extra arguments", "the pass-through for vLLM", "vLLM", "a vLLM flag",
            "other engine options",
        ),
        questions=(
            "Which engine runs the LLM?", "Does Tandem use vLLM?", "How do I give vLLM another option?",
            "How do I pass a flag to vLLM?", "Can I set any vLLM argument?", "Where do vLLM flags go?",
            "What if there is no setting for a vLLM option?", "Is the LLM run by vLLM?",
        ),
    ),
)
# fmt: on
