module @attention {
  func.func public @main(%q: tensor<4x6xf32>, %k: tensor<4x6xf32>, %v: tensor<4x6xf32>, %mask: tensor<4x4xi1>) -> (tensor<f64>, tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x6xf32>) {
    %attention = stablehlo.transpose %k, dims = [1, 0] : (tensor<4x6xf32>) -> tensor<6x4xf32>
    %attention_0 = stablehlo.dot_general %q, %attention, contracting_dims = [1] x [0], precision = [HIGHEST, HIGHEST] : (tensor<4x6xf32>, tensor<6x4xf32>) -> tensor<4x4xf32>
    %attention_1 = stablehlo.convert %attention_0 : (tensor<4x4xf32>) -> tensor<4x4xf64>
    %attention_2 = stablehlo.constant dense<2.4494897427831779> : tensor<4x4xf64>
    %attention_3 = stablehlo.divide %attention_1, %attention_2 : tensor<4x4xf64>
    %attention_4 = stablehlo.constant dense<-1.000000e+09> : tensor<4x4xf64>
    %attention_5 = stablehlo.select %mask, %attention_3, %attention_4 : tensor<4x4xi1>, tensor<4x4xf64>
    %attention_6 = stablehlo.constant dense<0xFFF0000000000000> : tensor<f64>
    %attention_7 = stablehlo.reduce(%attention_5 init: %attention_6) applies stablehlo.maximum across dimensions = [1] : (tensor<4x4xf64>, tensor<f64>) -> tensor<4xf64>
    %attention_8 = stablehlo.reshape %attention_7 : (tensor<4xf64>) -> tensor<4x1xf64>
    %attention_9 = stablehlo.broadcast_in_dim %attention_8, dims = [0, 1] : (tensor<4x1xf64>) -> tensor<4x4xf64>
    %attention_10 = stablehlo.subtract %attention_5, %attention_9 : tensor<4x4xf64>
    %attention_11 = stablehlo.exponential %attention_10 : tensor<4x4xf64>
    %attention_12 = stablehlo.constant dense<0.000000e+00> : tensor<f64>
    %attention_13 = stablehlo.reduce(%attention_11 init: %attention_12) applies stablehlo.add across dimensions = [1] : (tensor<4x4xf64>, tensor<f64>) -> tensor<4xf64>
    %attention_14 = stablehlo.reshape %attention_13 : (tensor<4xf64>) -> tensor<4x1xf64>
    %attention_15 = stablehlo.broadcast_in_dim %attention_14, dims = [0, 1] : (tensor<4x1xf64>) -> tensor<4x4xf64>
    %attention_16 = stablehlo.divide %attention_11, %attention_15 : tensor<4x4xf64>
    %attention_17 = stablehlo.convert %v : (tensor<4x6xf32>) -> tensor<4x6xf64>
    %attention_18 = stablehlo.dot_general %attention_16, %attention_17, contracting_dims = [1] x [0], precision = [HIGHEST, HIGHEST] : (tensor<4x4xf64>, tensor<4x6xf64>) -> tensor<4x6xf64>
    %attention_19 = stablehlo.slice %attention_18 [1:4, 0:5:2] : (tensor<4x6xf64>) -> tensor<3x3xf64>
    %attention_20 = stablehlo.multiply %attention_19, %attention_19 : tensor<3x3xf64>
    %attention_21 = stablehlo.constant dense<0.000000e+00> : tensor<f64>
    %attention_22 = stablehlo.reduce(%attention_20 init: %attention_21) applies stablehlo.add across dimensions = [0, 1] : (tensor<3x3xf64>, tensor<f64>) -> tensor<f64>
    %attention_23 = stablehlo.constant dense<9.000000e+00> : tensor<f64>
    %attention_24 = stablehlo.divide %attention_22, %attention_23 : tensor<f64>
    %attention_25 = stablehlo.constant dense<0.1111111111111111> : tensor<3x3xf64>
    %attention_26 = stablehlo.multiply %attention_25, %attention_19 : tensor<3x3xf64>
    %attention_27 = stablehlo.constant dense<2.000000e+00> : tensor<3x3xf64>
    %attention_28 = stablehlo.multiply %attention_26, %attention_27 : tensor<3x3xf64>
    %attention_29 = stablehlo.constant dense<0.000000e+00> : tensor<f64>
    %attention_30 = stablehlo.pad %attention_28, %attention_29, low = [1, 0], high = [0, 1], interior = [0, 1] : (tensor<3x3xf64>, tensor<f64>) -> tensor<4x6xf64>
    %attention_31 = stablehlo.dot_general %attention_30, %attention_17, contracting_dims = [1] x [1], precision = [HIGHEST, HIGHEST] : (tensor<4x6xf64>, tensor<4x6xf64>) -> tensor<4x4xf64>
    %attention_32 = stablehlo.dot_general %attention_16, %attention_30, contracting_dims = [0] x [0], precision = [HIGHEST, HIGHEST] : (tensor<4x4xf64>, tensor<4x6xf64>) -> tensor<4x6xf64>
    %attention_33 = stablehlo.convert %attention_32 : (tensor<4x6xf64>) -> tensor<4x6xf32>
    %attention_34 = stablehlo.constant dense<1.000000e+00> : tensor<4x4xf64>
    %attention_35 = stablehlo.divide %attention_34, %attention_15 : tensor<4x4xf64>
    %attention_36 = stablehlo.constant dense<0.000000e+00> : tensor<4x4xf64>
    %attention_37 = stablehlo.multiply %attention_31, %attention_35 : tensor<4x4xf64>
    %attention_38 = stablehlo.compare EQ, %attention_31, %attention_36, FLOAT : (tensor<4x4xf64>, tensor<4x4xf64>) -> tensor<4x4xi1>
    %attention_39 = stablehlo.select %attention_38, %attention_31, %attention_37 : tensor<4x4xi1>, tensor<4x4xf64>
    %attention_40 = stablehlo.constant dense<0.000000e+00> : tensor<4x4xf64>
    %attention_41 = stablehlo.multiply %attention_39, %attention_16 : tensor<4x4xf64>
    %attention_42 = stablehlo.compare EQ, %attention_39, %attention_40, FLOAT : (tensor<4x4xf64>, tensor<4x4xf64>) -> tensor<4x4xi1>
    %attention_43 = stablehlo.select %attention_42, %attention_39, %attention_41 : tensor<4x4xi1>, tensor<4x4xf64>
    %attention_44 = stablehlo.negate %attention_43 : tensor<4x4xf64>
    %attention_45 = stablehlo.constant dense<0.000000e+00> : tensor<f64>
    %attention_46 = stablehlo.reduce(%attention_44 init: %attention_45) applies stablehlo.add across dimensions = [1] : (tensor<4x4xf64>, tensor<f64>) -> tensor<4xf64>
    %attention_47 = stablehlo.broadcast_in_dim %attention_46, dims = [0] : (tensor<4xf64>) -> tensor<4x4xf64>
    %attention_48 = stablehlo.add %attention_39, %attention_47 : tensor<4x4xf64>
    %attention_49 = stablehlo.constant dense<0.000000e+00> : tensor<4x4xf64>
    %attention_50 = stablehlo.multiply %attention_48, %attention_11 : tensor<4x4xf64>
    %attention_51 = stablehlo.compare EQ, %attention_48, %attention_49, FLOAT : (tensor<4x4xf64>, tensor<4x4xf64>) -> tensor<4x4xi1>
    %attention_52 = stablehlo.select %attention_51, %attention_48, %attention_50 : tensor<4x4xi1>, tensor<4x4xf64>
    %attention_53 = stablehlo.constant dense<0.000000e+00> : tensor<4x4xf64>
    %attention_54 = stablehlo.select %mask, %attention_52, %attention_53 : tensor<4x4xi1>, tensor<4x4xf64>
    %attention_55 = stablehlo.constant dense<0.40824829046386307> : tensor<4x4xf64>
    %attention_56 = stablehlo.multiply %attention_54, %attention_55 : tensor<4x4xf64>
    %attention_57 = stablehlo.convert %attention_56 : (tensor<4x4xf64>) -> tensor<4x4xf32>
    %attention_58 = stablehlo.dot_general %attention_57, %attention, contracting_dims = [1] x [1], precision = [HIGHEST, HIGHEST] : (tensor<4x4xf32>, tensor<6x4xf32>) -> tensor<4x6xf32>
    %attention_59 = stablehlo.dot_general %q, %attention_57, contracting_dims = [0] x [0], precision = [HIGHEST, HIGHEST] : (tensor<4x6xf32>, tensor<4x4xf32>) -> tensor<6x4xf32>
    %attention_60 = stablehlo.transpose %attention_59, dims = [1, 0] : (tensor<6x4xf32>) -> tensor<4x6xf32>
    return %attention_24, %attention_58, %attention_60, %attention_33 : tensor<f64>, tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x6xf32>
  }
}
